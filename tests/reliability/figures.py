"""The counts of a campaign as the table of docs/reliability.md."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", re.DOTALL)
_TITLES = {"kills": "kill points", "signals": "signals", "calls": "failing calls",
           "surroundings": "surroundings", "sessions": "stops and terminals"}  # fmt: skip


def counts_of(state: Path) -> list[dict[str, Any]]:
    """The counts of all units."""
    return [json.loads(path.read_text()) for path in sorted(state.glob("*.json"))]


def number_of_faults(state: Path) -> int:
    """How many experiments broke a promise."""
    return sum(len(unit["faults"]) for unit in counts_of(state))


def table_of(state: Path) -> str:
    """Two tables in Markdown: by command, and by kind of file."""
    units = counts_of(state)
    by_command: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for unit in units:
        if unit["part"] in _TITLES:
            by_command[unit["command"]][unit["part"]] += unit["happened"]
            by_command[unit["command"]]["faults"] += len(unit["faults"])
    columns = [*_TITLES, "faults"]
    lines = ["| command | " + " | ".join([*_TITLES.values(), "promises broken"]) + " |",
             "|---|" + "---:|" * len(columns)]  # fmt: skip
    for command, row in sorted(by_command.items()):
        lines.append(f"| `{command}` | " + " | ".join(f"{row[c]:,}" for c in columns) + " |")
    lines.append("| **all** | " + " | ".join(
        f"**{sum(row[c] for row in by_command.values()):,}**" for c in columns) + " |")  # fmt: skip
    kinds = [unit for unit in units if unit["part"] == "mutants"]
    lines += ["", "| damaged file | mutants | promises broken |", "|---|---:|---:|"]
    lines += [f"| {u['name']} | {u['tried']:,} | {len(u['faults']):,} |" for u in kinds]
    total = sum(u["tried"] for u in kinds), sum(len(u["faults"]) for u in kinds)
    lines.append(f"| **all** | **{total[0]:,}** | **{total[1]:,}** |")
    lines += ["", *_kinds_of_faults(units)]
    return "\n".join(lines).rstrip() + "\n"


def _kinds_of_faults(units: list[dict[str, Any]]) -> list[str]:
    complaints = [text for unit in units for *_, texts in unit["faults"] for text in texts]
    names = {
        "tracebacks": "traceback", "hangs over 15 s": "hang:", "half artifacts": "half artifact",
        "orphans": "orphan",
    }  # fmt: skip
    counted = [f"{title}: {sum(word in c for c in complaints)}" for title, word in names.items()]
    rest = sum(not any(word in c for word in names.values()) for c in complaints)
    return ["; ".join([*counted, f"other broken promises: {rest}"]).capitalize() + "."]


def write(document: Path, table: str) -> None:
    """Replace the figures in a document."""
    text = document.read_text(encoding="utf-8")
    assert _BLOCK.search(text), f"{document}: has no place for figures"
    document.write_text(_BLOCK.sub(lambda m: m[1] + table + m[2], text), encoding="utf-8")
