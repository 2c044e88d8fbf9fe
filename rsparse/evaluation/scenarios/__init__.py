"""Scenarios: what an attacker knows, by the names of the paper and of Carlini et al. (2019).

Each scenario is a frozen parameter set that determines which model is attacked and which one is
judged. The module ``kinds`` defines all of them, and ``SCENARIOS`` with their names.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rsparse.evaluation.scenarios.kinds import (
    SCENARIOS,
    Adaptive,
    AdversarialTraining,
    AdversarialTrainingBlackBox,
    BlackBox,
    ExtendedGrayBox,
    GrayBox,
    Transfer,
)
from rsparse.evaluation.scenarios.scenario import Scenario, TwoModelScenario
from rsparse.options.specs import parse_spec, unknown_name

__all__ = [
    "SCENARIOS",
    "Adaptive",
    "AdversarialTraining",
    "AdversarialTrainingBlackBox",
    "BlackBox",
    "ExtendedGrayBox",
    "GrayBox",
    "Scenario",
    "Transfer",
    "TwoModelScenario",
    "find_scenario",
    "parse_scenarios",
]


def find_scenario(name: str) -> type[Scenario]:
    """The scenario with that name.

    Raises
    ------
    InputError
        If there is none; the message suggests the nearest name.
    """
    if name not in SCENARIOS:
        raise unknown_name("scenario", name, SCENARIOS)
    return SCENARIOS[name]


def parse_scenarios(texts: Iterable[str], folder: Path = Path()) -> tuple[Scenario, ...]:
    """Parse the specs of scenarios (see ``rsparse.options.specs.parse_spec``); the order is kept.

    Parameters
    ----------
    texts : iterable of str
        Such as ``gray-box`` or ``transfer:model=a.onnx,b.onnx,preset=unit``.
    folder : Path
        The paths in the specs are relative to it.

    Raises
    ------
    InputError
        If a name, parameter or value is unknown, or a model is missing.
    """
    return tuple(
        scenario.in_folder(folder)
        for text in texts
        for scenario in parse_spec(text, SCENARIOS, kind="scenario")
    )
