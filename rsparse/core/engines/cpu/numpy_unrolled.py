"""The inner loops of the unrolled coder in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def shrink(codes: Floats, squares: Floats, gains: Floats) -> None:
    """Multiply each coefficient z by its gain (z² / (z² + t²))².

    The gain is about 0 for z well below its threshold t, and 1 well above.

    Parameters
    ----------
    codes : float32 array of shape (n, k)
        Changed in place.
    squares : float32 array of shape (k,)
        t², above 0.
    gains : float32 array of shape (n,)
        The result: the mean gain of each row.
    """
    energies = codes * codes
    gain = np.square(energies / (energies + squares))
    codes *= gain
    gain.mean(axis=1, out=gains)


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
    """Add patches to a strip of an image, each with its weight times that of the pixel.

    Parameters
    ----------
    canvas : float32 array of shape (rows, w, c)
        The strip, changed in place; its first row is row ``top`` of the image.
    counts : float32 array of shape (rows, w)
        The sums of the weights, changed in place.
    top : int
    corners : int array of shape (n, 2)
        Distinct.
    patch_size : int
        b.
    patches : float32 array of shape (n, b·b·c)
    means : float32 array of shape (n, c)
        Added to the channels of each patch.
    weights : float32 array of shape (n,)
    window : float32 array of shape (b·b·c,)
        The same for all channels of a pixel.
    """
    width, channels = canvas.shape[1:]
    pixels = patches.reshape(len(corners), -1, channels) + means[:, None]
    flat, sums = canvas.reshape(-1, channels), counts.reshape(-1)
    start = (corners[:, 0] - top) * width + corners[:, 1]
    for place in range(patch_size**2):  # corners are distinct, so no pixel occurs twice
        row, column = divmod(place, patch_size)
        factor = weights * window[place * channels]
        flat[start + (row * width + column)] += factor[:, None] * pixels[:, place]
        sums[start + (row * width + column)] += factor
