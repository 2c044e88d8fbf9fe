"""The paper's Table II: adversarial training, the judged defense, and both together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

from rsparse.core.paired import SIGNIFICANT, mcnemar
from rsparse.evaluation.names import ADVERSARIAL_TRAINING, ADVERSARIAL_TRAINING_BLACK_BOX, GRAY_BOX
from rsparse.evaluation.results import CLEAN, Column, JudgedDefense
from rsparse.evaluation.statistics import accuracy, tried_behind
from rsparse.report.subjects import Subjects
from rsparse.report.tables import Table, Value, share_value, strength_head

PAPER_STRENGTHS = {"eps": (2.0, 14.0, 22.0), "d": (0.01, 0.14, 0.2)}
_STRENGTHS = "The strengths are those of the paper if an attack was run at all three of them."
Row = tuple[str, str, JudgedDefense]


class OrderViolation(NamedTuple):
    """An attacked column in which the order does not hold.

    Attributes
    ----------
    column : str
        The heading of the column.
    p : float
        The smallest p-value of McNemar's tests for the violated inequalities.
    undefended : bool
        Whether the only violation is that the adversarially trained model without a defense is less
        accurate than the normal one.
    """

    column: str
    p: float
    undefended: bool


@dataclass(frozen=True)
class TableTwo:
    """The four rows of the table, for one scenario of adversarial training.

    Attributes
    ----------
    subjects : Subjects
    scenario : str
        The scenario in which the adversarially trained model is judged.
    undefended, ours : JudgedDefense
    """

    subjects: Subjects
    scenario: str
    undefended: JudgedDefense
    ours: JudgedDefense

    @property
    def note(self) -> str:
        """The attacked models and the strengths, in words."""
        if self.scenario == ADVERSARIAL_TRAINING:
            return f"Each model is attacked directly, without its defense. {_STRENGTHS}"
        model = self.subjects.judged_model(GRAY_BOX)
        return f"All attacks are made on {model}, without a defense. {_STRENGTHS}"

    @property
    def rows(self) -> list[Row]:
        """Name, scenario and defense of each row."""
        name = "RegionSparse" if self.ours.is_ours else self.ours.text
        return [
            ("Normal", GRAY_BOX, self.undefended),
            ("FGSM Adversarial", self.scenario, self.undefended),
            (name, GRAY_BOX, self.ours),
            (f"{name} + FGSM Adversarial", self.scenario, self.ours),
        ]

    @cached_property
    def columns(self) -> list[dict[str, Column]]:
        """The columns by scenario: the clean images, then each attack that both scenarios have."""
        subjects = self.subjects
        columns = []
        clean = {s: subjects.clean_of(s) for s in (GRAY_BOX, self.scenario)}
        if None not in clean.values():
            columns.append({s: column for s, column in clean.items() if column is not None})
        trained = {column.attack: column for column in subjects.columns(self.scenario)}
        both = [
            {GRAY_BOX: column, self.scenario: trained[column.attack]}
            for column in subjects.columns(GRAY_BOX)
            if column.attack in trained
        ]
        for _, group in groupby(both, lambda pair: pair[GRAY_BOX].family):
            family = list(group)
            first = family[0][GRAY_BOX]
            strengths = PAPER_STRENGTHS.get(first.strength_name, ())
            chosen = [pair for pair in family if pair[GRAY_BOX].strength in strengths]
            columns += chosen if len(chosen) == len(strengths) > 0 else family
        return columns

    @property
    def table(self) -> Table:
        """The four rows, with columns for the clean images and the attacks in both scenarios."""
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
    def violations(self) -> list[OrderViolation]:
        """The attacked columns in which the order does not hold."""
        violations = (self._violation(pair) for pair in self.attacked)
        return [violation for violation in violations if violation is not None]

    @property
    def order(self) -> str:
        """In how many attacked columns both ≥ each alone ≥ normal holds, as the paper finds in all.

        For the other columns it says whether only the rows without a defense violate the order, and
        where McNemar's paired test is significant (not corrected for the number of tests).
        """
        n, violations = len(self.attacked), self.violations
        text = (
            f"Both together ≥ each alone ≥ normal holds in {n - len(violations)} of {n} "
            "attacked columns"
        )
        if not violations:
            return f"{text}."
        heads = ", ".join(violation.column for violation in violations)
        undefended = all(violation.undefended for violation in violations)
        only = " (only between the rows without a defense)" if undefended else ""
        significant = ", ".join(v.column for v in violations if v.p < SIGNIFICANT)
        return (
            f"{text}; not in {heads}{only}. The violation is significant (McNemar's p < "
            f"{SIGNIFICANT:g}) in {significant or 'none of these'}."
        )

    @property
    def attacked(self) -> list[dict[str, Column]]:
        """The columns of attacks that were tried in all four rows."""
        evaluation = self.subjects.evaluation
        return [
            pair
            for pair in self.columns
            if pair[GRAY_BOX].family != CLEAN
            and all(tried_behind(evaluation, defense, [pair[s]]) for _, s, defense in self.rows)
        ]

    def _violation(self, pair: Mapping[str, Column]) -> OrderViolation | None:
        """The violation of the order in a column; None if the order holds."""
        evaluation = self.subjects.evaluation
        normal, trained, ours, both = (
            evaluation.correct(pair[s], defense) for _, s, defense in self.rows
        )
        undefended = (trained, normal)
        order = ((both, trained), (both, ours), (ours, normal), undefended)
        violated = [rows for rows in order if rows[0].mean() < rows[1].mean()]
        if not violated:
            return None
        p = min(mcnemar(*rows) for rows in violated)
        only_undefended = all(rows is undefended for rows in violated)
        return OrderViolation(_head(pair[GRAY_BOX]), p, only_undefended)


def tables_two(subjects: Subjects) -> list[TableTwo]:
    """One table for each scenario in which an adversarially trained model was judged.

    The list is empty if the gray-box columns of the original model, the judged defense or the
    undefended model are missing.
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
