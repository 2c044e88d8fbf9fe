"""The scenario transfer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.results import TRANSFER
from rsparse.evaluation.scenarios.scenario import TwoModelScenario


@dataclass(frozen=True)
class Transfer(TwoModelScenario):
    """A second model is attacked; the evaluation's own model is judged."""

    name: ClassVar[str] = TRANSFER
    knows: ClassVar[str] = (
        "the attacker knows another classifier, but neither the judged one nor the defense"
    )

    def attacked(self, model: ModelChoice) -> ModelChoice:  # noqa: ARG002
        """The second model."""
        return self.other
