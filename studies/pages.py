"""Render the pages of the studies (``PAGES``) in docs/ from templates and CSV tables.

    python -m studies.pages

The templates look up all figures in the tables and all rules in the policies.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import jinja2

from rsparse.defenses.policy import load_policy, policy_names
from studies.tables import Row, read_rows

DOCS = Path(__file__).resolve().parent.parent / "docs"
TEMPLATES = Path(__file__).resolve().parent / "templates"
PAGES = (
    *("results", "policies", "least-change", "detect", "certify"),
    *("paper", "paper-figures", "dictionaries", "robustness"),
)
FAMILIES = {
    "fgsm": "FGSM",
    "bim": "BIM",
    "mi-fgsm": "MI-FGSM",
    "mi-fgsm-l2": "MI-FGSM-L2",
    "cw-l2": "CW-L2",
    "deepfool": "DeepFool ×",
}


def render(page: str, docs: Path = DOCS) -> str:
    """A page from its template and the tables in ``docs``."""
    tables = Tables(docs)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {
        "signed": signed, "short": short, "whole": whole, "largest": largest,
        "best_of_each_kind": best_of_each_kind, "difference": difference,
    }  # fmt: skip
    environment.globals |= {
        "rows": tables.rows, "row": tables.row, "value": tables.value, "about": tables.about,
        "exists": tables.exists,
        "few_images": lambda: _few_images(docs),
        "policies": {name: load_policy(name) for name in policy_names()}, "policy_of": policy_of,
    }  # fmt: skip
    return environment.get_template(f"{page}.md.j2").render()


def _few_images(docs: Path) -> str:
    """The table of the study of how many images a dictionary needs."""
    from studies.few_images import table  # which needs DOCS from here

    return table(docs / "results" / "few-images.csv")


class Tables:
    """CSV files below a folder, looked up by their path without the suffix."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read = cache(lambda path: read_rows(folder / f"{path}.csv"))

    def exists(self, path: str) -> bool:
        """Whether there is such a table."""
        return (self._folder / f"{path}.csv").exists()

    def rows(self, path: str, **wanted: str) -> list[Row]:
        """The rows whose columns have these values."""
        return [
            row for row in self._read(path) if all(row[key] == is_ for key, is_ in wanted.items())
        ]

    def row(self, path: str, **wanted: str) -> Row:
        """The only row whose columns have these values."""
        found = self.rows(path, **wanted)
        if len(found) != 1:
            raise LookupError(f"{path}.csv: {len(found)} rows with {wanted}, expected one")
        return found[0]

    def value(self, path: str, column: str, **wanted: str) -> str:
        """A column of that row."""
        return self.row(path, **wanted)[column]

    def about(self, part: str, key: str) -> str:
        """A figure of a part's about.csv."""
        return self.value(f"results/{part}/about", "value", key=key)


def policy_of(rules: str) -> str:
    """The name of the policy with these rules (their texts, joined): the default one if it has."""
    found = [
        name
        for name in policy_names()
        if "; ".join(rule.text for rule in load_policy(name).defense.rules) == rules
    ]
    return "default" if "default" in found else next(iter(found), "")


def signed(number: str) -> str:
    """``8.6`` as ``+8.6`` and ``-1.2`` as ``−1.2``."""
    return f"−{number[1:]}" if number.startswith("-") else f"+{number}"


def difference(row: Row) -> str:
    """``+0.6 (−6.4 to +7.6)``, by the columns of ``tables.difference_to``; empty without them."""
    numbers = [row.get(f"difference{end}", "") for end in ("", "_low", "_high")]
    return "{} ({} to {})".format(*map(signed, numbers)) if all(numbers) else ""


def whole(number: str) -> str:
    """``34.7`` as ``35``."""
    return f"{float(number):.0f}"


def largest(rows: Iterable[Row], column: str) -> Row:
    """The row with the largest number in a column."""
    return max(rows, key=lambda row: float(row[column]))


def best_of_each_kind(rows: Sequence[Row], column: str) -> list[Row]:
    """The setting with the largest number of each kind of defense, in descending order."""
    kinds = {re.split(r"-[a-z_]+=", row["defense"])[0] for row in rows}
    best = [
        largest((r for r in rows if re.split(r"-[a-z_]+=", r["defense"])[0] == kind), column)
        for kind in kinds
    ]
    return sorted(best, key=lambda row: -float(row[column]))


def short(attack: str) -> str:
    """``cw-l2-d=0.14-steps=30`` as ``CW-L2 0.14``."""
    family = max((name for name in FAMILIES if attack.startswith(f"{name}-")), key=len, default="")
    if not family:
        return attack
    return f"{FAMILIES[family]} {attack.removeprefix(family).split('=')[1].split('-')[0]}"


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for page in PAGES:
        (DOCS / f"{page}.md").write_text(render(page), encoding="utf-8")


if __name__ == "__main__":
    main()
