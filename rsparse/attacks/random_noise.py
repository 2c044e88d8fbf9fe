"""Define random noise, the control for attacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.attacks.attack import Attack, eps_parameter
from rsparse.errors import InputError
from rsparse.options.fields import relative_parameter

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal


@dataclass(frozen=True)
class Noise(Attack):
    """Random noise of ±size in every channel: a control for what a change of that size does.

    An attack that is not stronger than noise of the same norm does not work (Carlini et al. 2019,
    Section 5.3). ``eps`` sets the L∞ norm, ``d`` the L₂ norm; the default is eps = 8.
    """

    name: ClassVar[str] = "noise"
    strengths: ClassVar[tuple[str, ...]] = ("eps", "d")
    needs_gradients: ClassVar[bool] = False

    eps: float | None = eps_parameter(None)
    d: float | None = relative_parameter(
        None, "L2 norm of the change, relative to the image's own norm.", minimum=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps is not None and self.d is not None:
            raise InputError(
                "eps and d cannot be used together: eps sets the L∞ norm, d the L2 norm"
            )
        if self.eps is None and self.d is None:
            object.__setattr__(self, "eps", 8.0)

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:  # noqa: ARG002
        """Add ±size to each number; the random numbers are drawn on the CPU."""
        import torch

        signs = (2 * torch.randint(0, 2, x.shape) - 1).to(x)
        if self.eps is not None:
            return (x + signs * (self.eps / 255)).clip(0, 1)
        assert self.d is not None  # by __post_init__
        sizes = self.d * x.flatten(1).norm(dim=1) / x[0].numel() ** 0.5
        return (x + signs * sizes.reshape(-1, 1, 1, 1)).clip(0, 1)

    @property
    def passes(self) -> int:
        """Zero: it does not use the model."""
        return 0
