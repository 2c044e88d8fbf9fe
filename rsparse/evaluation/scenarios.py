"""Scenarios: what an attacker knows, by the names of the paper and of Carlini et al. (2019).

Each says which model is attacked. Room is left for those in which the attacker asks the model
(black-box), knows of the defense (extended gray-box), or attacks through it (adaptive).
"""

from __future__ import annotations

from dataclasses import dataclass

from rsparse.errors import InputError
from rsparse.evaluation.results import GRAY_BOX, TRANSFER
from rsparse.specs import nearest


@dataclass(frozen=True)
class Scenario:
    """What an attacker knows.

    Attributes
    ----------
    name : str
    knows : str
        The threat model in a sentence.
    attacks_sources : bool
        Whether the source models are attacked, or the judged one.
    is_adaptive : bool
        Whether the attacker knows the defense.
    """

    name: str
    knows: str
    attacks_sources: bool = False
    is_adaptive: bool = False


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            GRAY_BOX,
            "the attacker knows the classifier and its weights, and nothing of the defense",
        ),
        Scenario(
            TRANSFER,
            "the attacker knows another classifier, and neither the judged one nor the defense",
            attacks_sources=True,
        ),
    )
}


def find_scenario(name: str) -> Scenario:
    """The scenario of that name.

    Raises
    ------
    InputError
        If there is none; the nearest is named.
    """
    if name in SCENARIOS:
        return SCENARIOS[name]
    guess = nearest(name, SCENARIOS)
    hint = f"did you mean {guess}? " if guess else ""
    raise InputError(f"unknown scenario {name!r}; {hint}Known: {', '.join(SCENARIOS)}")
