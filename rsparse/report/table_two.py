"""The paper's Table II: adversarial training, the judged defense, and both together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

from rsparse.evaluation.evidence import SIGNIFICANT
from rsparse.evaluation.results import (
    ADVERSARIAL_TRAINING,
    ADVERSARIAL_TRAINING_BLACK_BOX,
    CLEAN,
    GRAY_BOX,
    Column,
    JudgedDefense,
)
from rsparse.evaluation.statistics import accuracy, mcnemar, tried_behind
from rsparse.report.subjects import Subjects
from rsparse.report.tables import Table, Value, share_value, strength_head

PAPER_STRENGTHS = {"eps": (2.0, 14.0, 22.0), "d": (0.01, 0.14, 0.2)}
_STRENGTHS = "Strengths are the paper's where an attack was run at all three of them."
Row = tuple[str, str, JudgedDefense]


class Break(NamedTuple):
    """An attacked column in which the order does not hold.

    Attributes
    ----------
    column : str
        Its head.
    p : float
        The least of McNemar's paired tests of what breaks it.
    undefended : bool
        Only the adversarially trained model without a defense breaks it, by keeping less than the
        normal one.
    """

    column: str
    p: float
    undefended: bool


@dataclass(frozen=True)
class TableTwo:
    """The four rows, for what an attacker knows of the adversarially trained model.

    Attributes
    ----------
    subjects : Subjects
    scenario : str
        The one in which the adversarially trained model judges.
    undefended, ours : JudgedDefense
    """

    subjects: Subjects
    scenario: str
    undefended: JudgedDefense
    ours: JudgedDefense

    @property
    def note(self) -> str:
        """Which models were attacked, and at which strengths."""
        if self.scenario == ADVERSARIAL_TRAINING:
            return f"Each model is attacked itself, without its defense. {_STRENGTHS}"
        model = self.subjects.judge_of(GRAY_BOX)
        return f"All attacks are made on {model}, without a defense. {_STRENGTHS}"

    @property
    def rows(self) -> list[Row]:
        """Name, scenario and defense of each."""
        name = "RegionSparse" if self.ours.is_ours else self.ours.text
        return [
            ("Normal", GRAY_BOX, self.undefended),
            ("FGSM Adversarial", self.scenario, self.undefended),
            (name, GRAY_BOX, self.ours),
            (f"{name} + FGSM Adversarial", self.scenario, self.ours),
        ]

    @cached_property
    def columns(self) -> list[dict[str, Column]]:
        """The column of each scenario: of the clean images, then of each attack that both have."""
        subjects = self.subjects
        found = []
        clean = {s: subjects.clean_of(s) for s in (GRAY_BOX, self.scenario)}
        if None not in clean.values():
            found.append({s: column for s, column in clean.items() if column is not None})
        trained = {column.attack: column for column in subjects.columns(self.scenario)}
        both = [
            {GRAY_BOX: column, self.scenario: trained[column.attack]}
            for column in subjects.columns(GRAY_BOX)
            if column.attack in trained
        ]
        for _, group in groupby(both, lambda pair: pair[GRAY_BOX].family):
            family = list(group)
            first = family[0][GRAY_BOX]
            wanted = PAPER_STRENGTHS.get(first.strength_name, ())
            chosen = [pair for pair in family if pair[GRAY_BOX].strength in wanted]
            found += chosen if len(chosen) == len(wanted) > 0 else family
        return found

    @property
    def table(self) -> Table:
        """The rows; columns are the clean images and the attacks that both models were shown."""
        evaluation = self.subjects.evaluation
        lines = [
            (
                Value(name, name),
                *(share_value(accuracy(evaluation, pair[s], defense)) for pair in self.columns),
            )
            for name, s, defense in self.rows
        ]
        heads = [_head(pair[GRAY_BOX]) for pair in self.columns]
        marked = tuple(defense is self.ours for _, _, defense in self.rows)
        return Table(("", *heads), tuple(lines), (False, *[True] * len(heads)), marked)

    @cached_property
    def broken(self) -> list[Break]:
        """The attacked columns in which the order does not hold."""
        return [found for pair in self.attacked if (found := self._break_of(pair)) is not None]

    @property
    def order(self) -> str:
        """In which attacked columns both ≥ each alone ≥ normal, as the paper finds in all.

        Of the others it tells whether only rows without a defense break it, and in which McNemar's
        paired test finds the order contradicted, not corrected for how many are tested.
        """
        n = len(self.attacked)
        text = (
            f"Both together ≥ each alone ≥ normal holds in {n - len(self.broken)} of {n} "
            "attacked columns"
        )
        if not self.broken:
            return f"{text}."
        heads = ", ".join(found.column for found in self.broken)
        where = ", only between the rows without a defense"
        only = where if all(found.undefended for found in self.broken) else ""
        certain = ", ".join(found.column for found in self.broken if found.p < SIGNIFICANT)
        return (
            f"{text}; not in {heads}{only}. Beyond chance (McNemar's p < {SIGNIFICANT:g}) the "
            f"order is contradicted in {certain or 'none of these'}."
        )

    @property
    def attacked(self) -> list[dict[str, Column]]:
        """The columns of attacks in which all four were tried."""
        evaluation = self.subjects.evaluation
        return [
            pair
            for pair in self.columns
            if pair[GRAY_BOX].family != CLEAN
            and all(tried_behind(evaluation, defense, [pair[s]]) for _, s, defense in self.rows)
        ]

    def _break_of(self, pair: Mapping[str, Column]) -> Break | None:
        """What breaks the order in a column; none where it holds."""
        evaluation = self.subjects.evaluation
        normal, trained, ours, both = (
            evaluation.correct(pair[s], defense) for _, s, defense in self.rows
        )
        undefended = (trained, normal)
        wanted = ((both, trained), (both, ours), (ours, normal), undefended)
        broken = [rows for rows in wanted if rows[0].mean() < rows[1].mean()]
        if not broken:
            return None
        p = min(mcnemar(*rows) for rows in broken)
        return Break(_head(pair[GRAY_BOX]), p, all(rows is undefended for rows in broken))


def tables_two(subjects: Subjects) -> list[TableTwo]:
    """One table for each scenario in which an adversarially trained model judged.

    None where the original's gray-box columns or one of the two defenses is missing.
    """
    ours, undefended = subjects.judged, subjects.undefended
    if ours is None or undefended is None or GRAY_BOX not in subjects.scenarios:
        return []
    return [
        TableTwo(subjects, scenario, undefended, ours)
        for scenario in (ADVERSARIAL_TRAINING, ADVERSARIAL_TRAINING_BLACK_BOX)
        if scenario in subjects.scenarios
    ]


def _head(column: Column) -> str:
    if column.strength is None:
        return column.attack
    return f"{column.family} {strength_head(column)}"
