"""Extract patches from an image."""

from __future__ import annotations

from torch import Tensor

from rsparse.core.engines.torch.grids import Grid


def take(x: Tensor, place: Tensor, where: Grid, patch_size: int) -> Tensor:
    """Extract patches from one layer of an image.

    Parameters
    ----------
    x : float32 tensor of shape (h, w, c), contiguous
    place : int64 tensor of shape (n,)
        Their indices in the grid, in reading order.
    where : Grid
    patch_size : int
        b.

    Returns
    -------
    float32 tensor of shape (n, b·b·c)
        Their numbers by row, column, channel.
    """
    height, width, c = x.shape
    b, step = patch_size, width * c
    windows = x.as_strided((height - b + 1, width - b + 1, b, b * c), (step, c, step, 1))
    n_columns = len(where.columns)
    row = place.div(n_columns, rounding_mode="floor").mul_(where.stride).clamp_(max=height - b)
    column = place.remainder(n_columns).mul_(where.stride).clamp_(max=width - b)
    return windows[row, column].view(len(place), -1)
