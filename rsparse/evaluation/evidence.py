"""The evidence that the checks need in addition to the plan's own columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rsparse.evaluation.results import Column, ColumnKey
from rsparse.evaluation.statistics import Flags, one_of_each_attack

PASS, FAIL, NOT_RUN = "pass", "fail", "not run"
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Evidence:
    """The evidence for one scenario and attacked model.

    Attributes
    ----------
    columns : sequence of Column
        The columns of the plan.
    huge_eps : Column or None
        The attack with a huge eps.
    noise : sequence of Column
        Random noise.
    doubled_steps : (Column, Column) or None
        The strongest iterative attack, and the same with twice as many steps.
    rounding : mapping
        By column key, which images the attacked model misclassified before and after rounding to
        8 bits.
    other : str
        Name of the scenario's second model; "" if it needs none.
    """

    columns: Sequence[Column]
    huge_eps: Column | None = None
    noise: Sequence[Column] = ()
    doubled_steps: tuple[Column, Column] | None = None
    rounding: Mapping[ColumnKey, tuple[Flags, Flags]] = field(default_factory=dict)
    other: str = ""

    @property
    def attacks(self) -> list[Column]:
        """One column for each attack, whichever defense it was made through."""
        return one_of_each_attack(self.columns)

    @property
    def is_adaptive(self) -> bool:
        """Whether the attacks were made through the defenses."""
        return any(column.through for column in self.columns)

    @property
    def scenario(self) -> str:
        """The name of the scenario, with that of its second model."""
        first = self.columns[0]
        return f"{first.scenario}: {self.other}" if self.other else first.scenario


def percent(value: float) -> str:
    """A share as the checks print it: ``81 %``."""
    return f"{100 * value:.0f} %"
