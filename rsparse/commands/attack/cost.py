"""What is left of several attacks, and what it will cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rsparse.attacks import Attack
from rsparse.store.folders import OutputFolder


@dataclass(frozen=True)
class AttackCost:
    """The remaining cost of the attacks, estimated before they start.

    Attributes
    ----------
    images : int
        Images to attack.
    results : int
        Missing adversarial images over all attacks; attacks that differ only in their scaling
        count once.
    passes : int
        Approximate number of forward and backward passes for all of them; some attacks stop
        earlier.
    seconds_per_pass : float
        Measured on one core or the GPU; 0 if nothing is left to do.
    cores : int
    stops_early : bool
        Whether an attack is done with most images long before its last pass.
    """

    images: int
    results: int
    passes: int
    seconds_per_pass: float
    cores: int
    stops_early: bool = False

    @property
    def word(self) -> str:
        """What stands before the seconds."""
        return "at most" if self.stops_early else "about"

    @property
    def seconds(self) -> float:
        """Time for all passes on all cores."""
        return self.passes * self.seconds_per_pass / self.cores


def group_by_unscaled(folders: Mapping[Attack, OutputFolder]) -> list[dict[Attack, OutputFolder]]:
    """Group the attacks that differ only in the scaling of their results."""
    groups: dict[Attack, dict[Attack, OutputFolder]] = {}
    for attack, folder in folders.items():
        groups.setdefault(attack.unscaled(), {})[attack] = folder
    return list(groups.values())
