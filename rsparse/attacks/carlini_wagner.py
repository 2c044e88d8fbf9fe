"""Define Carlini and Wagner's attack, the paper's CW-L2, with its defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from rsparse.attacks.attack import Attack, steps_parameter
from rsparse.attacks.goal import target_parameter
from rsparse.options.fields import parameter, relative_parameter

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal


@dataclass(frozen=True)
class CwL2(Attack):
    """Carlini and Wagner's L₂ attack (2017): the smallest change that fools, by Adam.

    It minimises ‖δ‖₂² + λ·max(κ + margin, 0). The paper's κ = 0 is ``confidence`` and its
    λ_f = 0.1 is ``initial_const``. Which λ is large enough depends on the scale of a model's
    logits. Images for which nothing is found are tried again with ten times the weight
    (``retries=0`` keeps λ_f fixed). With ``binary_search_steps`` above 1 the attack also searches
    for the smallest λ of each image, at the cost of as many runs.

    The learning rate is CleverHans's. Foolbox would stop as soon as the loss of the whole batch
    rises, which happens in the first steps. The change would then be more than twice as large as
    necessary and depend on the other images. Therefore all ``steps`` are run.

    ``d`` is the paper's scaling: the perturbations of a whole folder are multiplied by one
    constant τ ≥ 1 so that their average dissimilarity is d.
    """

    name: ClassVar[str] = "cw-l2"
    strengths: ClassVar[tuple[str, ...]] = ("d",)
    seeks_minimum: ClassVar[bool] = True

    d: float | None = relative_parameter(
        None,
        "Average dissimilarity to which all perturbations are scaled up; none does not.",
        above=0,
    )
    confidence: float = parameter(
        0.0, "Margin kappa by which the wrong class must lead.", minimum=0, maximum=1e6
    )
    initial_const: float = parameter(
        0.1, "Weight lambda of the deception against the change's size.", above=0, maximum=1e10
    )
    binary_search_steps: int = parameter(
        1, "Weights tried for each image in search of the smallest.", minimum=1, maximum=100
    )
    retries: int = parameter(
        3,
        "Times that images for which nothing was found are tried with ten times the weight.",
        minimum=0,
        maximum=10,
    )
    steps: int = steps_parameter(100)
    step_size: float = parameter(0.005, "Adam's learning rate.", above=0, maximum=10)
    target: str | None = target_parameter()

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Run foolbox's ``L2CarliniWagnerAttack``; black images mark its failures."""
        adversarial = self._search(model, x, goal, self.initial_const)
        for retry in range(1, self.retries + 1):
            missing = (adversarial == 0).flatten(1).all(1)
            if not missing.any():
                break
            weight = self.initial_const * 10**retry
            adversarial[missing] = self._search(model, x[missing], goal.of(missing), weight)
        return adversarial

    def _search(
        self, model: PyTorchModel, x: torch.Tensor, goal: Goal, weight: float
    ) -> torch.Tensor:
        from foolbox.attacks import L2CarliniWagnerAttack

        from rsparse.attacks.foolbox_calls import minimal_perturbation

        attack = L2CarliniWagnerAttack(
            binary_search_steps=self.binary_search_steps,
            steps=self.steps,
            stepsize=self.step_size,
            confidence=self.confidence,
            initial_const=weight,
            abort_early=False,
        )
        return minimal_perturbation(attack, model, x, goal)

    @property
    def passes(self) -> int:
        """See ``Attack.passes``; retries do not count, since few images need them."""
        return self.steps * self.binary_search_steps

    @property
    def average_d(self) -> float | None:
        """See ``Attack.average_d``."""
        return self.d

    def unscaled(self) -> Attack:
        """See ``Attack.unscaled``."""
        return replace(self, d=None)
