"""Scenarios in which a retrained or an adversarially trained model judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.results import (
    ADVERSARIAL_TRAINING,
    ADVERSARIAL_TRAINING_BLACK_BOX,
    BLACK_BOX,
    EXTENDED_GRAY_BOX,
)
from rsparse.evaluation.scenarios.scenario import TwoModelScenario


class _JudgedByOther(TwoModelScenario):
    def judged(self, model: ModelChoice) -> ModelChoice:  # noqa: ARG002
        """The trained model."""
        return self.other


class _AttackedToo(_JudgedByOther):
    def attacked(self, model: ModelChoice) -> ModelChoice:  # noqa: ARG002
        """The trained model."""
        return self.other


@dataclass(frozen=True)
class BlackBox(_JudgedByOther):
    """The model is attacked; what ``rsparse train`` made of it judges."""

    name: ClassVar[str] = BLACK_BOX
    knows: ClassVar[str] = (
        "the attacker knows the classifier before it was retrained, and neither the new weights "
        "nor the defense"
    )


@dataclass(frozen=True)
class ExtendedGrayBox(_AttackedToo):
    """A retrained model is attacked, and judges."""

    name: ClassVar[str] = EXTENDED_GRAY_BOX
    knows: ClassVar[str] = (
        "the attacker knows the retrained classifier and its weights, and nothing of the defense "
        "before it"
    )


@dataclass(frozen=True)
class AdversarialTraining(_AttackedToo):
    """An adversarially trained model is attacked, and judges."""

    name: ClassVar[str] = ADVERSARIAL_TRAINING
    knows: ClassVar[str] = (
        "the attacker knows the adversarially trained classifier and its weights, and nothing of "
        "the defense"
    )


@dataclass(frozen=True)
class AdversarialTrainingBlackBox(_JudgedByOther):
    """The model is attacked; an adversarially trained one judges."""

    name: ClassVar[str] = ADVERSARIAL_TRAINING_BLACK_BOX
    knows: ClassVar[str] = (
        "the attacker knows the classifier before its adversarial training, and neither the new "
        "weights nor the defense"
    )
