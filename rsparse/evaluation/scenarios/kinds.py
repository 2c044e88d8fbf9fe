"""Every scenario, and ``SCENARIOS``, which maps the names in specs to them.

A new scenario is a class and a line in the table at the end. One that attacks through the defenses
sets ``through = True``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.names import (
    ADAPTIVE,
    ADVERSARIAL_TRAINING,
    ADVERSARIAL_TRAINING_BLACK_BOX,
    BLACK_BOX,
    EXTENDED_GRAY_BOX,
    GRAY_BOX,
    TRANSFER,
)
from rsparse.evaluation.scenarios.scenario import Scenario, TwoModelScenario
from rsparse.options.fields import parameter

if TYPE_CHECKING:
    from rsparse.attacks import Attack

WORST_CASE, GIVEN = "worst-case", "given"


@dataclass(frozen=True)
class GrayBox(Scenario):
    """The undefended model is attacked and judged."""

    name: ClassVar[str] = GRAY_BOX
    knows: ClassVar[str] = "the attacker knows the classifier and its weights, but not the defense"


@dataclass(frozen=True)
class Adaptive(Scenario):
    """The model is attacked and judged behind each defense, which the attacks go through.

    By default, the attack ``adaptive`` takes the place of the plan's untargeted attacks that are
    limited in L∞, with the same eps: the worst case over several attacks.
    """

    name: ClassVar[str] = ADAPTIVE
    knows: ClassVar[str] = (
        "the attacker knows the classifier, its weights and the defense, and attacks through it"
    )
    through: ClassVar[bool] = True

    attacks: str = parameter(
        WORST_CASE,
        "The attacks: the worst case of several at each eps of the plan, or the plan's own.",
        choices=(WORST_CASE, GIVEN),
    )
    fast: bool = parameter(False, "Whether the worst case leaves out the most expensive attacks.")

    def attacks_of(self, given: tuple[Attack, ...]) -> tuple[Attack, ...]:
        """See ``Scenario.attacks_of``."""
        if self.attacks == GIVEN:
            return given
        return tuple(dict.fromkeys(map(self._worst_case, given)))

    def _worst_case(self, attack: Attack) -> Attack:
        from rsparse.attacks import Adaptive as WorstCase

        eps = getattr(attack, "eps", None)
        if eps is None or attack.aim or attack.seeks_minimum or isinstance(attack, WorstCase):
            return attack
        return WorstCase(eps=eps, fast=self.fast)


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


class _TrainedModelJudged(TwoModelScenario):
    def judged(self, model: ModelChoice) -> ModelChoice:  # noqa: ARG002
        """The trained model."""
        return self.other


class _TrainedModelAttacked(_TrainedModelJudged):
    def attacked(self, model: ModelChoice) -> ModelChoice:  # noqa: ARG002
        """The trained model."""
        return self.other


@dataclass(frozen=True)
class BlackBox(_TrainedModelJudged):
    """The original model is attacked; the retrained one (``rsparse train``) is judged."""

    name: ClassVar[str] = BLACK_BOX
    knows: ClassVar[str] = (
        "the attacker knows the classifier before retraining, but neither the new weights nor the "
        "defense"
    )


@dataclass(frozen=True)
class ExtendedGrayBox(_TrainedModelAttacked):
    """A retrained model is attacked and judged."""

    name: ClassVar[str] = EXTENDED_GRAY_BOX
    knows: ClassVar[str] = (
        "the attacker knows the retrained classifier and its weights, but not the defense in front "
        "of it"
    )


@dataclass(frozen=True)
class AdversarialTraining(_TrainedModelAttacked):
    """An adversarially trained model is attacked and judged."""

    name: ClassVar[str] = ADVERSARIAL_TRAINING
    knows: ClassVar[str] = (
        "the attacker knows the adversarially trained classifier and its weights, but not the "
        "defense"
    )


@dataclass(frozen=True)
class AdversarialTrainingBlackBox(_TrainedModelJudged):
    """The original model is attacked; an adversarially trained one is judged."""

    name: ClassVar[str] = ADVERSARIAL_TRAINING_BLACK_BOX
    knows: ClassVar[str] = (
        "the attacker knows the classifier before adversarial training, but neither the new "
        "weights nor the defense"
    )


SCENARIOS: dict[str, type[Scenario]] = {
    scenario.name: scenario
    for scenario in (
        GrayBox,
        Adaptive,
        Transfer,
        BlackBox,
        ExtendedGrayBox,
        AdversarialTraining,
        AdversarialTrainingBlackBox,
    )
}
