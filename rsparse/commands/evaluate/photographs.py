"""``adaptive.csv``: one line for each photograph and attack through a defense, from its notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rsparse.attacks import attack_text
from rsparse.commands.evaluate.columns import PlannedColumn
from rsparse.defenses import Defense, NoDefense, defense_text
from rsparse.evaluation.files import ADAPTIVE_TABLE, table_text
from rsparse.store.files import write_atomic
from rsparse.store.journal import Entry
from rsparse.store.predictions import Prediction

NOTES = (
    "by", "backward", "loss", "start", "shape", "steps", "gradients", "queries", "lowered",
    "asked", "fooled",
)  # fmt: skip


def save_photographs(
    folder: Path,
    columns: Iterable[PlannedColumn],
    entries: Mapping[PlannedColumn, Mapping[str, Entry]],
    trials: Mapping[tuple[PlannedColumn, Defense], list[Prediction]],
) -> None:
    """Write the lines of all columns that were made through the defenses, if there are any.

    Parameters
    ----------
    folder : Path
        That of the evaluation.
    columns : iterable of PlannedColumn
    entries, trials
        As in ``Findings``.
    """
    rows = [
        row
        for column in columns
        if column.threat is not None and column.threat.scenario.through
        for row in _rows(column, entries[column], trials)
    ]
    if rows:
        write_atomic(folder / ADAPTIVE_TABLE, table_text(rows).encode(errors="backslashreplace"))


def _rows(
    column: PlannedColumn,
    entries: Mapping[str, Entry],
    trials: Mapping[tuple[PlannedColumn, Defense], list[Prediction]],
) -> Iterator[dict[str, Any]]:
    assert column.attack is not None
    defense = column.through or NoDefense()
    for judged in trials[column, defense]:
        entry = entries.get(judged.name, {})
        notes = entry.get("notes", {})
        before, after = notes.get("rules", (None, None))
        yield {
            "name": judged.name,
            "defense": defense_text(defense),
            "attack": attack_text(column.attack),
            "label": judged.label,
            "prediction": judged.classes[0],
            "correct": bool(judged.is_correct),
            "linf": entry.get("linf"),
            "l2": entry.get("l2"),
            **{key: notes.get(key) for key in NOTES},
            "rule_before": before,
            "rule_after": after,
        }
