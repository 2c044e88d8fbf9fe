"""Carry gradients back through the padding of images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def folded(padded: Floats, rows: tuple[int, int], columns: tuple[int, int], mode: str) -> Floats:
    """Add the gradient of each padded pixel to that of the pixel it was copied from.

    Parameters
    ----------
    padded : float array of shape (h + padding, w + padding, …)
    rows, columns : (int, int)
        Pixels of padding at the start and at the end of each side.
    mode : str
        How NumPy's ``pad`` copies pixels: ``edge``, ``reflect`` or ``symmetric``.

    Returns
    -------
    array of shape (h, w, …)
    """
    for axis, (before, after) in enumerate((rows, columns)):
        length = padded.shape[axis] - before - after
        source = np.pad(np.arange(length), (before, after), mode=mode)  # type: ignore[call-overload]
        own = np.moveaxis(padded, axis, 0)
        result = own[before : before + length].copy()
        for place in (*range(before), *range(before + length, len(own))):
            result[source[place]] += own[place]
        padded = np.moveaxis(result, 0, axis)
    return padded
