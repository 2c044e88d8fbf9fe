"""The scenario gray-box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rsparse.evaluation.results import GRAY_BOX
from rsparse.evaluation.scenarios.scenario import Scenario


@dataclass(frozen=True)
class GrayBox(Scenario):
    """The undefended model is attacked and judged."""

    name: ClassVar[str] = GRAY_BOX
    knows: ClassVar[str] = "the attacker knows the classifier and its weights, but not the defense"
