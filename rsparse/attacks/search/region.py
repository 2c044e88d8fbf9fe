"""The images of 8 bits that an L∞ limit allows around each original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

_SLACK = 1e-4  # grey levels, since 255 * (k / 255) is not exactly k


@dataclass(frozen=True)
class Region:
    """The images of whole grey levels within a limit, for a batch.

    Attributes
    ----------
    origin : Tensor of shape (n, 3, h, w), float32
        The original images in grey levels, 0 to 255.
    low, high : Tensor like ``origin``
        The smallest and largest whole level of each number. Both equal the rounded original if the
        limit allows no other level: a limit below 1 allows no change of an image of 8 bits.
    eps : float
        The limit in grey levels.
    """

    origin: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    eps: float

    @classmethod
    def around(cls, x: torch.Tensor, eps: float) -> Region:
        """The region around images ``x`` (n, 3, h, w) in [0, 1] for a limit in grey levels."""
        origin = 255 * x
        low = (origin - eps - _SLACK).ceil().clamp(0, 255)
        high = (origin + eps + _SLACK).floor().clamp(0, 255)
        nearest = origin.round()
        empty = low > high
        return cls(origin, torch.where(empty, nearest, low), torch.where(empty, nearest, high), eps)

    @property
    def allows_change(self) -> bool:
        """Whether any number has more than one level."""
        return bool((self.low < self.high).any())

    def of(self, some: Any) -> Region:
        """The region of some images, given by a mask, indices or a slice."""
        return Region(self.origin[some], self.low[some], self.high[some], self.eps)

    def image(self, change: torch.Tensor) -> torch.Tensor:
        """The image in [0, 1], with whole levels in the region, nearest to origin + change."""
        levels = (self.origin + change).round()
        return levels.clamp(self.low, self.high) / 255
