"""Define PGD and APGD, the gradient attacks that know a defense best, on images of 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rsparse.attacks.attack import Attack, eps_parameter, steps_parameter
from rsparse.attacks.goal import target_parameter
from rsparse.options.fields import parameter

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal
    from rsparse.attacks.search.descent import Recipe

LOSSES = ("margin", "ce")


def loss_parameter(default: str = "margin") -> Any:
    """Declare what an attack makes small."""
    return parameter(
        default,
        "What is made small: margin, the lead of the right class over the best other one; or ce, "
        "its log-likelihood (cross-entropy).",
        choices=LOSSES,
    )


def restarts_parameter() -> Any:
    """Declare the number of descents."""
    return parameter(
        1,
        "Descents for each image, of which the best counts; those after the first start at random "
        "points.",
        minimum=1,
        maximum=1000,
    )


@dataclass(frozen=True)
class Pgd(Attack):
    """Projected gradient descent in L∞ (Madry 2018) on images of 8 bits.

    The model is asked only about images of whole grey levels; rounding passes gradients straight
    through. The result is the best image that it was asked about, and stays it as a file.
    """

    name: ClassVar[str] = "pgd"
    whole_levels: ClassVar[bool] = True

    eps: float = eps_parameter()
    steps: int = steps_parameter(40)
    step_size: float | None = parameter(
        None,
        "Change in one step, in grey levels; none is a quarter of eps.",
        above=0,
        maximum=255,
        levels=True,
    )
    loss: str = loss_parameter()
    random_start: bool = parameter(False, "Start at a random point, not at the original image.")
    restarts: int = restarts_parameter()
    momentum: float = parameter(
        0.0, "Share mu of the gathered gradient kept in each step.", minimum=0, maximum=1
    )
    falling: bool = parameter(False, "Let the steps fall linearly to a tenth.")
    coarse: int = parameter(
        1,
        "Side in pixels of the cells between which the change is interpolated; 1 allows any "
        "change, more only low frequencies.",
        minimum=1,
        maximum=1024,
    )
    target: str | None = target_parameter()

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Run ``search.descent.descend`` for each start."""
        from rsparse.attacks.search.descent import Recipe
        from rsparse.attacks.search.shapes import Coarse, Shape

        recipe = Recipe(
            self.steps,
            self.loss,
            self.step_size / self.eps if self.step_size and self.eps else 0.25,
            self.momentum,
            self.falling,
            self.random_start,
        )
        shape = Coarse(self.coarse) if self.coarse > 1 else Shape()
        return _best_of(model, x, goal, self.eps, recipe, self.restarts, shape)

    @property
    def passes(self) -> int:
        """See ``Attack.passes``."""
        return self.steps * self.restarts


@dataclass(frozen=True)
class Apgd(Attack):
    """PGD with momentum whose steps are halved where they stop helping (Croce, Hein 2020).

    It has no step size to choose. As for ``pgd``, the model is asked about images of 8 bits.
    """

    name: ClassVar[str] = "apgd"
    whole_levels: ClassVar[bool] = True

    eps: float = eps_parameter()
    steps: int = steps_parameter(100)
    loss: str = loss_parameter("ce")
    restarts: int = restarts_parameter()
    target: str | None = target_parameter()

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Run ``search.descent.descend`` for each start."""
        from rsparse.attacks.search.descent import Recipe
        from rsparse.attacks.search.shapes import Shape

        recipe = Recipe(self.steps, self.loss, auto=True)
        return _best_of(model, x, goal, self.eps, recipe, self.restarts, Shape())

    @property
    def passes(self) -> int:
        """See ``Attack.passes``."""
        return self.steps * self.restarts


def _best_of(
    model: PyTorchModel,
    x: torch.Tensor,
    goal: Goal,
    eps: float,
    recipe: Recipe,
    restarts: int,
    shape: Any,
) -> torch.Tensor:
    """The best image of several descents; all after the first start at random points."""
    from dataclasses import replace

    from rsparse.attacks.search.descent import descend

    best = descend(model, x, goal, eps, recipe, shape=shape)
    for _ in range(1, restarts):
        other = descend(model, x, goal, eps, replace(recipe, random_start=True), shape=shape)
        best.take_better(other)
    return best.x_adv
