"""Putting overlapping patches back: sums in one fixed order, so that bytes are the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def add_patches(
    canvas: Tensor,
    patches: Tensor,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    stride: int,
) -> None:
    """Add patches at the crossings of ``rows`` and ``columns`` to images.

    One side after the other: first neighbours in a row of patches, one of their b columns at a
    time, then rows of patches, one of their b rows at a time. No two patches meet in a turn.

    Parameters
    ----------
    canvas : float32 tensor of shape (n, h, w, c)
        Added to.
    patches : float32 tensor of shape (n, ny, nx, b, b·c)
        By column of the patch, then row and channel.
    rows, columns : int arrays of shape (ny,) and (nx,)
        ``stride`` apart, but for the last.
    stride : int
    """
    n, _, width, c = canvas.shape
    b = patches.shape[3]
    bands = canvas.new_zeros((n, len(rows), width, b * c))
    for j in range(b):
        for some, pixels in _runs(columns + j, stride):
            bands[:, :, pixels] += patches[:, :, some, j]
    bands = bands.view(n, len(rows), width, b, c)
    for i in range(b):
        for some, pixels in _runs(rows + i, stride):
            canvas[:, pixels] += bands[:, some, :, i]


def _runs(starts: NDArray[np.intp], stride: int) -> Iterator[tuple[slice, slice]]:
    """The starts as slices of themselves and of the pixels: one, or two where the last is off."""
    regular = len(starts)
    if regular > 1 and starts[-1] - starts[-2] != stride:
        regular -= 1
    first, last = int(starts[0]), int(starts[regular - 1])
    yield slice(0, regular), slice(first, last + 1, stride)
    if regular < len(starts):
        yield slice(regular, regular + 1), slice(int(starts[-1]), int(starts[-1]) + 1)
