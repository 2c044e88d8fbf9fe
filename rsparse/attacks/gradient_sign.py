"""Define the paper's gradient attacks: FGSM, BIM and MI-FGSM, with the paper's defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from rsparse.attacks.attack import Attack, eps_parameter, steps_parameter
from rsparse.attacks.goal import target_parameter
from rsparse.errors import InputError
from rsparse.options.fields import parameter, relative_parameter

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal

RELATIVE_STEP = 0.2  # foolbox's; CleverHans's is 0.17 for BIM and 0.2 for MI-FGSM
EPS_OF_D = 127.5  # ±eps everywhere has d = eps / 255 · ‖1‖₂ / ‖x‖₂, which is d for x = 1/2


def momentum_parameter() -> Any:
    """Declare μ."""
    return parameter(
        1.0, "Share mu of the gathered gradient kept in each step.", minimum=0, maximum=1
    )


@dataclass(frozen=True)
class Fgsm(Attack):
    """One step of size eps along the sign of the gradient (eq. 1; Goodfellow 2015)."""

    name: ClassVar[str] = "fgsm"

    eps: float = eps_parameter()

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Run foolbox's ``LinfFastGradientAttack``."""
        from foolbox.attacks import LinfFastGradientAttack

        from rsparse.attacks.foolbox_calls import perturb_within

        return perturb_within(LinfFastGradientAttack(), model, x, goal, self.eps / 255)


@dataclass(frozen=True)
class Bim(Attack):
    """FGSM in small steps, kept within eps of the original (eq. 2; Kurakin 2017).

    The paper writes ε for both the step and the limit. With ten steps of a fifth of eps, five
    suffice to reach the limit and five remain to move along it.
    """

    name: ClassVar[str] = "bim"

    eps: float = eps_parameter()
    steps: int = steps_parameter(10)
    step_size: float | None = parameter(
        None,
        "Change in one step, in grey levels; none is a fifth of eps.",
        above=0,
        maximum=255,
        levels=True,
    )
    target: str | None = target_parameter()

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Run foolbox's ``LinfBasicIterativeAttack``."""
        from foolbox.attacks import LinfBasicIterativeAttack

        from rsparse.attacks.foolbox_calls import perturb_within

        attack = LinfBasicIterativeAttack(
            rel_stepsize=RELATIVE_STEP,
            abs_stepsize=None if self.step_size is None else self.step_size / 255,
            steps=self.steps,
        )
        return perturb_within(attack, model, x, goal, self.eps / 255)

    @property
    def passes(self) -> int:
        """See ``Attack.passes``."""
        return self.steps


@dataclass(frozen=True)
class MiFgsm(Attack):
    """BIM with momentum: steps along the sign of the gathered gradient (eq. 3–4; Dong 2018).

    ``eps`` limits the change of a pixel. ``d`` is the paper's strength, an average over the set, as
    for CW-L2: all images are attacked with the same eps, 127.5 times d, and then all changes are
    multiplied by one constant so that their average dissimilarity is d. An image of mean square
    colour 1/4 is changed by about d, so the constant is near 1; it may be below. The default is
    d = 0.05. ``mi-fgsm-l2`` steps along the gradient itself.
    """

    name: ClassVar[str] = "mi-fgsm"
    strengths: ClassVar[tuple[str, ...]] = ("eps", "d")

    eps: float | None = eps_parameter(None)
    d: float | None = relative_parameter(
        None,
        "Average dissimilarity to which the changes of all images are scaled.",
        minimum=0,
    )
    steps: int = steps_parameter(10)
    step_size: float | None = parameter(
        None,
        "Change in one step, in the unit of eps or d; none is a fifth of it.",
        above=0,
        maximum=255,
    )
    momentum: float = momentum_parameter()
    target: str | None = target_parameter()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps is not None and self.d is not None:
            raise InputError(
                "eps and d cannot be used together: eps limits the L∞ norm, d is the average "
                "change in L2"
            )
        if self.eps is None and self.d is None:
            object.__setattr__(self, "d", 0.05)

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Run eq. 3–4 (see ``rsparse.attacks.momentum``), without scaling to d."""
        from rsparse.attacks.momentum import momentum_attack

        if self.eps is None:
            return self.unscaled().perturb(model, x, goal)
        return momentum_attack(
            model,
            x,
            goal,
            "linf",
            self.eps / 255,
            steps=self.steps,
            rel_stepsize=_relative(self.step_size, self.eps),
            momentum=self.momentum,
        )

    @property
    def passes(self) -> int:
        """See ``Attack.passes``."""
        return self.steps

    @property
    def average_d(self) -> float | None:
        """See ``Attack.average_d``."""
        return self.d

    def unscaled(self) -> MiFgsm:
        """See ``Attack.unscaled``."""
        if self.d is None:
            return self
        step = None if self.step_size is None else min(self.step_size * EPS_OF_D, 255.0)
        return replace(self, eps=self.d * EPS_OF_D, d=None, step_size=step)


@dataclass(frozen=True)
class MiFgsmL2(Attack):
    """MI-FGSM in L₂ (Dong 2018): steps along the gathered gradient, within d of each image."""

    name: ClassVar[str] = "mi-fgsm-l2"
    strengths: ClassVar[tuple[str, ...]] = ("d",)

    d: float = relative_parameter(
        0.05, "Largest L2 norm of the change, relative to the image's own norm.", minimum=0
    )
    steps: int = steps_parameter(10)
    step_size: float | None = parameter(
        None, "Change in one step, in the unit of d; none is a fifth of it.", above=0, maximum=255
    )
    momentum: float = momentum_parameter()
    target: str | None = target_parameter()

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Run eq. 3 with steps along g/‖g‖₂ (see ``rsparse.attacks.momentum``)."""
        from rsparse.attacks.momentum import momentum_attack

        return momentum_attack(
            model,
            x,
            goal,
            "l2",
            self.d,
            steps=self.steps,
            rel_stepsize=_relative(self.step_size, self.d),
            momentum=self.momentum,
        )

    @property
    def passes(self) -> int:
        """See ``Attack.passes``."""
        return self.steps


def _relative(step_size: float | None, limit: float) -> float:
    """The length of a step relative to the limit."""
    return step_size / limit if step_size and limit else RELATIVE_STEP
