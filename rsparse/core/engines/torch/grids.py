"""Define the grid of patches of images of one size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsparse.core.patches import grid, touching


@dataclass(frozen=True)
class Grid:
    """The positions of patches in images of one size: row and column starts, clamped at the end."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    stride: int

    @classmethod
    def over(cls, shape: tuple[int, int], patch_size: int, stride: int) -> Grid:
        """Create the grid for an image of ``shape`` (height, width)."""
        height, width = shape
        return cls(grid(height, patch_size, stride), grid(width, patch_size, stride), stride)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    @cached_property
    def everywhere(self) -> NDArray[np.intp]:
        """The indices of all patches, in reading order."""
        return np.arange(len(self))

    def touching(self, mask: NDArray[np.bool_], patch_size: int) -> NDArray[np.intp]:
        """Return the indices of the patches that contain a true pixel of a mask (h, w)."""
        if mask.all():
            return self.everywhere
        return np.flatnonzero(touching(mask, self.rows, self.columns, patch_size))
