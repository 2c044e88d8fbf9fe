"""The changes that a descent may make: any, coarse ones, or those that a policy does not notice.

A shape maps the variables of a descent, in grey levels, linearly to a change of the images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from rsparse.attacks.search.region import Region

PLAIN = "plain"


@dataclass(frozen=True)
class Shape:
    """Any change: one variable for each number of an image."""

    @property
    def text(self) -> str:
        """Its name in notes."""
        return PLAIN

    def bounds(self, region: Region) -> tuple[torch.Tensor, torch.Tensor]:
        """The smallest and largest values of the variables."""
        return region.low - region.origin, region.high - region.origin

    def change(self, variables: torch.Tensor, region: Region) -> torch.Tensor:  # noqa: ARG002
        """The change of the images in grey levels, (n, 3, h, w), before it is rounded."""
        return variables

    def of(self, some: Any) -> Shape:  # noqa: ARG002
        """The shape for some of the images, given by a mask."""
        return self

    def pulled_back(
        self, variables: torch.Tensor, region: Region, gradient: torch.Tensor
    ) -> torch.Tensor:
        """The gradient of the variables, from the gradient of the images."""
        if type(self) is Shape:
            return gradient
        with torch.enable_grad():
            leaf = variables.detach().requires_grad_()
            change = self.change(leaf, region)
            return torch.autograd.grad(change, leaf, gradient)[0]


@dataclass(frozen=True)
class Coarse(Shape):
    """Low frequencies only: one variable for each cell of a grid, interpolated linearly.

    After Guo, Frank, Weinberger (2019), "Low frequency adversarial perturbation", with bilinear
    interpolation in place of the cosine transform.
    """

    side: int = 8

    @property
    def text(self) -> str:
        return f"coarse {self.side}"

    def bounds(self, region: Region) -> tuple[torch.Tensor, torch.Tensor]:
        n, channels, height, width = region.origin.shape
        cells = n, channels, -(-height // self.side), -(-width // self.side)
        high = region.origin.new_full(cells, region.eps)
        return -high, high

    def change(self, variables: torch.Tensor, region: Region) -> torch.Tensor:
        size = region.origin.shape[2:]
        return functional.interpolate(variables, size, mode="bilinear", align_corners=False)


@dataclass(frozen=True, eq=False)
class Unnoticed(Shape):
    """Changes that leave the statistics by which a policy chooses almost as they are.

    The mean over squares of 2×2 pixels makes even and odd pixels alike, and the flattest parts of
    an image, where the noise is measured, do not change.

    Attributes
    ----------
    allowed : Tensor of shape (n, 1, h, w), float32
        1 where the image may change, else 0.
    """

    allowed: torch.Tensor

    @property
    def text(self) -> str:
        return "unnoticed"

    def bounds(self, region: Region) -> tuple[torch.Tensor, torch.Tensor]:
        high = torch.full_like(region.origin, region.eps)
        return -high, high

    def change(self, variables: torch.Tensor, region: Region) -> torch.Tensor:  # noqa: ARG002
        padded = functional.pad(variables, (0, 1, 0, 1), mode="replicate")
        return functional.avg_pool2d(padded, 2, stride=1) * self.allowed

    def of(self, some: Any) -> Shape:
        return Unnoticed(self.allowed[some])
