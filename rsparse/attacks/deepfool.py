"""Define DeepFool, which changes as little as it can, and multiples of its change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from rsparse.attacks.attack import Attack, steps_parameter
from rsparse.options.fields import parameter

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal


@dataclass(frozen=True)
class DeepFool(Attack):
    """The nearest adversarial image in L₂ by linear steps (Moosavi-Dezfooli et al. 2016).

    In each step, the classifier is taken as linear, and the image moves to the nearest boundary
    between its class and one of the next ``candidates``. The change is so small that rounding to
    8 bits undoes many of these attacks. ``scale`` multiplies it, image by image, after the search;
    attacks that differ only in it share one search.
    """

    name: ClassVar[str] = "deepfool"
    strengths: ClassVar[tuple[str, ...]] = ("scale",)
    seeks_minimum: ClassVar[bool] = True
    norm: ClassVar[str | None] = "l2"

    scale: float = parameter(
        1.0, "Factor by which the change that was found is multiplied.", minimum=1, maximum=1000
    )
    steps: int = steps_parameter(50)
    candidates: int = parameter(
        10, "Classes with the largest logits that are considered.", minimum=2, maximum=100_000
    )
    overshoot: float = parameter(
        0.02, "Share of the change by which it passes the boundary.", minimum=0, maximum=10
    )

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Run foolbox's ``L2DeepFoolAttack``."""
        from foolbox.attacks import L2DeepFoolAttack

        from rsparse.attacks.foolbox_calls import minimal_perturbation

        attack = L2DeepFoolAttack(
            steps=self.steps, candidates=self.candidates, overshoot=self.overshoot
        )
        return minimal_perturbation(attack, model, x, goal)

    @property
    def passes(self) -> int:
        """See ``Attack.passes``; three steps are usually enough, one gradient per candidate."""
        return min(self.steps, 3) * (self.candidates - 1)

    @property
    def factor(self) -> float:
        """See ``Attack.factor``."""
        return self.scale

    def unscaled(self) -> Attack:
        """See ``Attack.unscaled``."""
        return replace(self, scale=1.0)
