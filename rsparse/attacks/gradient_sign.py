"""Define the paper's gradient attacks: FGSM, BIM and MI-FGSM, with the paper's defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.attacks.attack import Attack, eps_parameter, steps_parameter
from rsparse.attacks.goal import target_parameter
from rsparse.errors import InputError
from rsparse.options.fields import parameter

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal

RELATIVE_STEP = 0.2  # foolbox's; CleverHans's is 0.17 for BIM and 0.2 for MI-FGSM


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
        None, "Change in one step, in grey levels; none is a fifth of eps.", above=0, maximum=255
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
    """BIM with momentum (eq. 3–4; Dong 2018), limited in L∞ (``eps``) or in L₂ (``d``).

    The default is d = 0.05, since the paper reports MI-FGSM in L₂.
    """

    name: ClassVar[str] = "mi-fgsm"
    strengths: ClassVar[tuple[str, ...]] = ("eps", "d")

    eps: float | None = eps_parameter(None)
    d: float | None = parameter(
        None,
        "Largest L2 norm of the change, relative to the image's own norm.",
        minimum=0,
        maximum=1,
    )
    steps: int = steps_parameter(10)
    step_size: float | None = parameter(
        None,
        "Change in one step, in the unit of eps or d; none is a fifth of it.",
        above=0,
        maximum=255,
    )
    momentum: float = parameter(
        1.0, "Share mu of the gathered gradient kept in each step.", minimum=0, maximum=1
    )
    target: str | None = target_parameter()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps is not None and self.d is not None:
            raise InputError(
                "eps and d cannot be used together: eps limits the L∞ norm, d the L2 norm"
            )
        if self.eps is None and self.d is None:
            object.__setattr__(self, "d", 0.05)

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Run eq. 3–4 (see ``rsparse.attacks.momentum``)."""
        from rsparse.attacks.momentum import momentum_attack

        limit = self.eps if self.eps is not None else self.d
        assert limit is not None  # by __post_init__
        relative = self.step_size / limit if self.step_size and limit else RELATIVE_STEP
        norm = "linf" if self.eps is not None else "l2"
        limit = limit / 255 if norm == "linf" else limit
        return momentum_attack(
            model,
            x,
            goal,
            norm,
            limit,
            steps=self.steps,
            rel_stepsize=relative,
            momentum=self.momentum,
        )

    @property
    def passes(self) -> int:
        """See ``Attack.passes``."""
        return self.steps
