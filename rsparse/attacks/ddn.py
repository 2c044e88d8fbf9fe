"""Define DDN, which seeks the smallest change in L₂, on images of 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.attacks.attack import Attack, steps_parameter
from rsparse.attacks.descents import loss_parameter
from rsparse.attacks.goal import target_parameter
from rsparse.options.fields import parameter, relative_parameter

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal


@dataclass(frozen=True)
class Ddn(Attack):
    """Decoupled direction and norm (Rony 2019): the smallest L₂ change that fools.

    Each step moves along the normalized gradient, and projects onto a sphere around the original
    whose radius shrinks by a share gamma if the image fools, else grows by it. As in the paper, the
    images have whole grey levels, so the change found is that of the file. Behind a defense with a
    substitute gradient, this is BPDA-DDN.
    """

    name: ClassVar[str] = "ddn"
    strengths: ClassVar[tuple[str, ...]] = ("d",)
    seeks_minimum: ClassVar[bool] = True
    norm: ClassVar[str | None] = "l2"

    d: float | None = relative_parameter(
        None,
        "Largest L2 norm of the change, relative to the image's own; none sets no limit.",
        minimum=0,
    )
    steps: int = steps_parameter(100)
    loss: str = loss_parameter("ce")
    radius: float = parameter(
        1.0, "First radius of the sphere, with pixels from 0 to 1.", above=0, maximum=1e4
    )
    gamma: float = parameter(
        0.05, "Share by which the radius changes in each step.", above=0, maximum=0.9
    )
    target: str | None = target_parameter()

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Run ``search.norms.smallest_change``."""
        from rsparse.attacks.search.norms import smallest_change

        return smallest_change(
            model, x, goal, steps=self.steps, loss=self.loss, radius=self.radius, gamma=self.gamma
        )

    def limits(self, x: torch.Tensor) -> torch.Tensor | None:
        """See ``Attack.limits``."""
        return None if self.d is None else self.d * x.flatten(1).norm(dim=1)

    @property
    def passes(self) -> int:
        """See ``Attack.passes``."""
        return self.steps
