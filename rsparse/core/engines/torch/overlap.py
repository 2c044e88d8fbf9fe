"""Sum overlapping patches in a fixed order, so that the result has the same bytes.

First the patches of each row of patches are summed into a *band*, one of their b columns at a time.
Then the bands are summed into the image, one of their b rows at a time. Within one such step, no
two patches overlap.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rsparse.core.engines.torch.grids import Grid


def bands_of(patches: Tensor, where: Grid, width: int) -> Tensor:
    """Sum the patches of each row of patches.

    Parameters
    ----------
    patches : float32 tensor of shape (n, ny, nx, b, v)
        By column of the patch; v numbers per column hold its rows and channels.
    where : Grid
        Gives the columns; ``ny`` may be fewer than its rows.
    width : int

    Returns
    -------
    float32 tensor of shape (n, ny, width, v)
    """
    n, ny, _, b, v = patches.shape
    bands = patches.new_zeros((n, ny, width, v))
    for j in range(b):
        for some, pixels in _runs(where.columns + j, where.stride):
            bands[:, :, pixels] += patches[:, :, some, j]
    return bands


def add_bands(canvas: Tensor, bands: Tensor, rows: NDArray[np.intp], stride: int) -> None:
    """Add bands to images.

    Parameters
    ----------
    canvas : float32 tensor of shape (n, h, w, c)
        Changed in place.
    bands : float32 tensor of shape (n, ny, w, b·c)
        By row of the patch, then channel.
    rows : int array of shape (ny,)
        The start of each band; they are ``stride`` apart, except for the last.
    stride : int
    """
    n, _, width, c = canvas.shape
    b = bands.shape[3] // c
    bands = bands.view(n, len(rows), width, b, c)
    for i in range(b):
        for some, pixels in _runs(rows + i, stride):
            canvas[:, pixels] += bands[:, some, :, i]


def count_coverage(hits: Tensor, where: Grid, patch_size: int, height: int, width: int) -> Tensor:
    """Count the coded patches that cover each pixel.

    Parameters
    ----------
    hits : float32 tensor of shape (n, ny, nx)
        1 for each coded patch, else 0.
    where : Grid
    patch_size, height, width : int

    Returns
    -------
    float32 tensor of shape (n, height, width)
    """
    bands = hits.new_zeros((*hits.shape[:2], width))
    for j in range(patch_size):
        for some, pixels in _runs(where.columns + j, where.stride):
            bands[:, :, pixels] += hits[:, :, some]
    counts = hits.new_zeros((len(hits), height, width))
    for i in range(patch_size):
        for some, pixels in _runs(where.rows + i, where.stride):
            counts[:, pixels] += bands[:, some]
    return counts


def _runs(starts: NDArray[np.intp], stride: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of the starts and of the pixels: one pair, or two if the last is irregular."""
    regular = len(starts)
    if regular > 1 and starts[-1] - starts[-2] != stride:
        regular -= 1
    first, last = int(starts[0]), int(starts[regular - 1])
    yield slice(0, regular), slice(first, last + 1, stride)
    if regular < len(starts):
        yield slice(regular, regular + 1), slice(int(starts[-1]), int(starts[-1]) + 1)
