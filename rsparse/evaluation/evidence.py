"""What the checklist goes by, beside an evaluation's own columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rsparse.evaluation.results import Column, ColumnKey
from rsparse.evaluation.statistics import Flags, one_of_each_attack

PASS, FAIL, NOT_RUN = "pass", "fail", "not run"
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Evidence:
    """What is known beside the plan's own columns of one scenario and attacked model.

    Attributes
    ----------
    columns : sequence of Column
        The plan's.
    floor : Column or None
        The attack of a huge eps.
    noise : sequence of Column
        Random noise.
    steps : (Column, Column) or None
        The strongest attack in steps, and the same with twice as many.
    rounding : mapping
        By the column's key, which images the attacked model got wrong before the rounding to
        8 bits and after it.
    other : str
        Name of the model that the scenario needs beside the evaluation's; "" for none.
    """

    columns: Sequence[Column]
    floor: Column | None = None
    noise: Sequence[Column] = ()
    steps: tuple[Column, Column] | None = None
    rounding: Mapping[ColumnKey, tuple[Flags, Flags]] = field(default_factory=dict)
    other: str = ""

    @property
    def attacks(self) -> list[Column]:
        """One column of each attack, whichever defense it was made through."""
        return one_of_each_attack(self.columns)

    @property
    def is_adaptive(self) -> bool:
        """Whether the attacks were made through the defenses."""
        return any(column.through for column in self.columns)

    @property
    def scenario(self) -> str:
        """Its name, with that of the other model that it needs."""
        first = self.columns[0]
        return f"{first.scenario}: {self.other}" if self.other else first.scenario


def percent(value: float) -> str:
    """A share as the checklist tells it."""
    return f"{100 * value:.0f} %"
