"""The inner loops of the unrolled coder, compiled by numba; see ``numpy_unrolled``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsparse.core.engines.cpu.numba_loops import compiled

Floats = NDArray[np.float32]

_VECTORISED = {"reassoc", "contract", "nsz", "arcp"}


@compiled(fastmath=_VECTORISED)
def shrink(codes: Floats, squares: Floats, gains: Floats) -> None:
    """See ``numpy_unrolled.shrink``."""
    n, k = codes.shape
    for number in range(n):
        total = np.float32(0)
        for i in range(k):
            value = codes[number, i]
            energy = value * value
            gain = energy / (energy + squares[i])
            gain *= gain
            codes[number, i] = value * gain
            total += gain
        gains[number] = total / np.float32(k)


@compiled(fastmath=_VECTORISED)
def add_weighted(
    canvas: Floats,
    counts: Floats,
    top: int,
    corners: NDArray[np.intp],
    patch_size: int,
    patches: Floats,
    means: Floats,
    weights: Floats,
    window: Floats,
) -> None:
    """See ``numpy_unrolled.add_weighted``."""
    height, width, channels = canvas.shape
    rows = canvas.reshape(height, width * channels)
    length = patch_size * channels
    tiled = np.empty(length, np.float32)
    for number in range(len(corners)):
        first, column = corners[number, 0] - top, corners[number, 1]
        left, weight = column * channels, weights[number]
        for i in range(length):
            tiled[i] = means[number, i % channels]
        for row in range(patch_size):
            for i in range(length):
                factor = weight * window[row * length + i]
                rows[first + row, left + i] += factor * (
                    patches[number, row * length + i] + tiled[i]
                )
            for i in range(patch_size):
                counts[first + row, column + i] += weight * window[row * length + i * channels]
