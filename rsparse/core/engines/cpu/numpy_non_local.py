"""The inner loop of non-local means in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

_TOGETHER = 64  # blocks computed at a time


def non_local(
    padded: Pixels,
    inside: Pixels,
    corners: NDArray[np.intp],
    template: int,
    border: int,
    moving: bool,
    shifts: tuple[int, int],
    rate: float,
    result: Floats,
) -> None:
    """Smooth square blocks of an image by non-local means, eq. (16).

    Pixel i becomes the mean of the pixels j in its window, each with the weight exp(−rate d),
    where d is the sum of the squared differences between the templates around i and j.

    Parameters
    ----------
    padded : uint8 array of shape (h + 2·border, w + 2·border, c)
        The image with a border on all sides, of which the templates see the innermost pixels.
    inside : uint8 array of shape (h + 2·border, w + 2·border)
        1 on the image and 0 on the border, whose pixels have no weight.
    corners : int array of shape (n, 2)
        The upper left pixels of the blocks in the image.
    template : int
        Side of the compared squares; odd.
    border : int
        ``reach + template // 2`` with ``moving``, otherwise ``b − 1 + template // 2``.
    moving : bool
        Whether each block has a window of its own, or the whole image for all.
    shifts : (int, int)
        How many rows and columns the compared block visits: ``2·reach + 1`` with ``moving``,
        otherwise ``h + b − 1`` and ``w + b − 1``.
    rate : float
        The inverse of h in eq. (16).
    result : float32 array of shape (n, b, b, c)
        Grey levels.
    """
    b, middle = result.shape[1], template // 2
    sides = b + template - 1 + shifts[0] - 1, b + template - 1 + shifts[1] - 1
    regions, seen = _windows(padded, sides), _windows(inside[:, :, None], sides)
    own = _windows(padded, (b + template - 1,) * 2)
    for first in range(0, len(corners), _TOGETHER):
        y, x = corners[first : first + _TOGETHER].T
        blocks = _side_by_side(own[y + border - middle, x + border - middle])
        top, left = (y, x) if moving else (y[:1] * 0, x[:1] * 0)
        there = _side_by_side(regions[top, left]), _side_by_side(seen[top, left])
        smoothed = _smoothed(blocks, *there, template, shifts, rate)
        result[first : first + _TOGETHER] = np.moveaxis(smoothed, (0, 3), (3, 0))


def _windows(image: Pixels, sides: tuple[int, int]) -> Pixels:
    """All rectangles (h', w', sides, c) of an image."""
    return np.moveaxis(sliding_window_view(image, sides, axis=(0, 1)), 2, -1)


def _side_by_side(windows: Pixels) -> Floats:
    """Windows (n, h, w, c) as an array (c, h, w, n), so that long rows are computed together."""
    return np.ascontiguousarray(np.moveaxis(windows, (3, 0), (0, 3)), dtype=np.float32)


def _smoothed(
    blocks: Floats,
    regions: Floats,
    seen: Floats,
    template: int,
    shifts: tuple[int, int],
    rate: float,
) -> Floats:
    """The smoothed blocks; ``blocks`` and ``regions`` include the templates around them."""
    channels, side, _, n = blocks.shape
    b = side - template + 1
    inner = slice(template // 2, template // 2 + b)
    totals, sums = np.zeros((b, b, n), np.float32), np.zeros((channels, b, b, n), np.float32)
    band = np.subtract.outer(np.arange(side), np.arange(b)).T
    band = ((band >= 0) & (band < template)).astype(np.float32)  # sums over a template, as product
    for dy in range(shifts[0]):
        for dx in range(shifts[1]):
            place = slice(None), slice(dy, dy + side), slice(dx, dx + side)
            others = regions[place]
            squares = np.square(blocks - others).sum(axis=0)
            columns = (band @ squares.reshape(side, -1)).reshape(b, side, n)
            weights = np.exp(np.float32(-rate) * (band @ columns))
            weights *= seen[place][0, inner, inner]
            totals += weights
            sums += weights * others[:, inner, inner]
    return np.asarray(sums / totals, dtype=np.float32)
