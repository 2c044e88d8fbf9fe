"""Differentiate non-local means with its weights held."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.backward.borders import folded

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def non_local_vjp(image: Pixels, upper: Floats, h: float, template: int, search: int) -> Floats:
    """Multiply a gradient by the transposed matrix of weights of non-local means.

    A pixel becomes the mean of the pixels around it, each weighted by exp(−d²/h²), where d² is the
    mean square difference of the patches around both, eq. (16). OpenCV compares lightness and
    colour separately; here both have the weights of the colours together, and none is
    differentiated. So this is a substitute, not the derivative.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
        The image that was smoothed.
    upper : float32 array of shape (h, w, 3)
        Gradient with respect to the smoothed image.
    h, template, search
        As in ``core.filters.non_local_means``.

    Returns
    -------
    float32 array of shape (h, w, 3)
        Gradient with respect to ``image``.
    """
    reach = search // 2
    border = (reach,) * 4
    padded = cv2.copyMakeBorder(image, *border, cv2.BORDER_REFLECT_101).astype(np.float32)
    own = image.astype(np.float32)
    sums = np.zeros(image.shape[:2], np.float32)
    for place in _places(reach, image.shape[:2]):
        sums += _weights(own, padded[place], h, template)
    share = upper / sums[:, :, None]
    lower = np.zeros_like(padded)
    for place in _places(reach, image.shape[:2]):
        lower[place] += _weights(own, padded[place], h, template)[:, :, None] * share
    return np.ascontiguousarray(folded(lower, (reach, reach), (reach, reach), "reflect"))


def _places(reach: int, shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Where the neighbours of all pixels lie in the padded image, for each offset."""
    height, width = shape
    offsets = range(2 * reach + 1)
    return [(slice(i, i + height), slice(j, j + width)) for i in offsets for j in offsets]


def _weights(own: Floats, other: Floats, h: float, template: int) -> Floats:
    squares = np.square(own - other).sum(axis=2)
    means = cv2.blur(squares, (template, template)) / 3
    return np.exp(means * np.float32(-1 / h**2))
