"""An evaluation from what a run has found: attacks' entries, cells' predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsparse.attacks import attack_text
from rsparse.commands.evaluate.layout import Attacked, Matrix
from rsparse.commands.evaluate.select import Selection
from rsparse.defenses import Defense, defense_text
from rsparse.evaluation.evidence import Evidence
from rsparse.evaluation.plan import strength_of
from rsparse.evaluation.results import CLEAN, Cell, Column, Defended, Evaluation
from rsparse.evaluation.statistics import Flags
from rsparse.store.journal import Entry
from rsparse.store.predictions import Prediction


@dataclass
class Found:
    """What is known of the columns so far.

    Attributes
    ----------
    entries : dict
        Of each column its manifest's entries, by name.
    cells : dict
        The predictions of each column and defense.
    """

    matrix: Matrix
    selection: Selection
    entries: dict[Attacked, dict[str, Entry]] = field(default_factory=dict)
    cells: dict[tuple[Attacked, Defense], list[Prediction]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The images judged."""
        return [entry["name"] for entry in self.selection.entries]

    def column(self, column: Attacked) -> Column:
        """What an attack did, image by image; an image it could not be run on is unchanged."""
        entries = self.entries[column]
        sizes: dict[str, Any] = {
            key: np.array([_size(entries.get(name), key) for name in self.names], np.float64)
            for key in ("linf", "l2", "d")
        }
        judged = column.judged.name
        if column.attack is None or column.threat is None:
            everything = np.ones(len(self.names), bool)
            return Column("", "", judged, CLEAN, CLEAN, "", None, {}, **sizes, found=everything)
        found = [n in entries and not entries[n]["nothing_found"] for n in self.names]
        return Column(
            column.threat.scenario.name,
            column.threat.attacked.name,
            judged,
            attack_text(column.attack),
            column.attack.name,
            *strength_of(column.attack),
            column.attack.as_record(),
            **sizes,
            found=np.array(found, bool),
        )

    def evaluation(self, columns: Iterable[Attacked]) -> Evaluation:
        """The evaluation of some columns, all of whose cells are there; without a record."""
        made = {column: self.column(column) for column in columns}
        plan, labels = self.matrix.plan, self.selection.labels
        cells = [
            _cell(key, defense_text(defense), self.names, self.cells[column, defense])
            for column, key in made.items()
            for defense in plan.defenses
        ]
        return Evaluation(
            record={},
            model=plan.model.name,
            names=tuple(self.names),
            labels=np.array([labels[name] for name in self.names], np.int64),
            only_correct=plan.parameters.only_correct,
            left_out=self.selection.left_out,
            class_names=tuple(self.matrix.classifier.class_names),
            columns=tuple(made.values()),
            defenses=tuple(Defended(defense_text(d), d.kind, d.as_record()) for d in plan.defenses),
            cells=tuple(cells),
        )

    def evidence(
        self,
        planned: Sequence[Attacked],
        probes: Sequence[Attacked],
        doubled: tuple[Attacked, Attacked] | None,
    ) -> Evidence:
        """What the checklist asks of one threat; the first of ``probes`` is the huge change."""
        return Evidence(
            columns=[self.column(column) for column in planned],
            floor=self.column(probes[0]) if probes else None,
            noise=[self.column(column) for column in probes[1:]],
            steps=None if doubled is None else (self.column(doubled[0]), self.column(doubled[1])),
            rounding={self.column(column).key: self._rounding(column) for column in planned},
        )

    def _rounding(self, column: Attacked) -> tuple[Flags, Flags]:
        entries = self.entries[column].values()
        before = np.array([entry["success_float"] for entry in entries], bool)
        return before, np.array([entry["success"] for entry in entries], bool)

    def n_right(self, column: Attacked) -> int:
        """How many predictions of a column are right, over all defenses."""
        return sum(
            row.classes[0] == row.label
            for defense in self.matrix.plan.defenses
            for row in self.cells[column, defense]
        )


def _size(entry: Entry | None, key: str) -> float:
    """How far an image was changed; the relative change of a black one has no number."""
    if entry is None or key not in entry:
        return 0.0
    return float("inf") if entry[key] is None else float(entry[key])


def _cell(column: Column, defense: str, names: Sequence[str], rows: Sequence[Prediction]) -> Cell:
    by_name = {row.name: row for row in rows}
    found = [by_name.get(name) for name in names]
    return Cell(
        column.key,
        defense,
        np.array([-1 if row is None else row.classes[0] for row in found], np.int64),
        np.array([0.0 if row is None else row.probabilities[0] for row in found], np.float32),
    )
