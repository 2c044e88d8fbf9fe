"""Differentiate OpenCV's bilateral filter."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.backward import loops
from rsparse.core.backward.borders import folded

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

_COLOURS = 3 * 255 + 1


def bilateral_vjp(
    image: Pixels, upper: Floats, diameter: int, sigma_color: float, sigma_space: float
) -> Floats:
    """Multiply a gradient by the filter's Jacobian, transposed.

    The weights are differentiated too: held, they would make the filter's slope almost twice as
    large. Only the rounding of the result is passed over.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
        The image that was filtered.
    upper : float32 array of shape (h, w, 3)
        Gradient with respect to the filtered image.
    diameter, sigma_color, sigma_space
        As in ``core.filters.bilateral``.

    Returns
    -------
    float32 array of shape (h, w, 3)
        Gradient with respect to ``image``, in the same unit.
    """
    reach = max(diameter // 2, 1)
    border = (reach,) * 4
    padded = cv2.copyMakeBorder(image, *border, cv2.BORDER_REFLECT_101)
    around = cv2.copyMakeBorder(
        np.ascontiguousarray(upper, np.float32), *border, cv2.BORDER_CONSTANT
    )
    planes = [
        np.ascontiguousarray(array.transpose(2, 0, 1), dtype=np.float32)
        for array in (padded, around)
    ]
    lower = np.zeros_like(planes[0])
    space = _space_weights(reach, sigma_space)
    distances = np.arange(_COLOURS, dtype=np.float64)
    colour = np.exp(-0.5 * np.square(distances / sigma_color)).astype(np.float32)
    slope = -1 / sigma_color**2
    loops.fastest.bilateral_gradient(*planes, reach, space, colour, slope, lower)
    return np.ascontiguousarray(
        folded(lower.transpose(1, 2, 0), (reach, reach), (reach, reach), "reflect")
    )


def _space_weights(reach: int, sigma: float) -> Floats:
    """The weight of an offset by its absolute components; the neighbourhood is a disk."""
    squares = np.square(np.arange(reach + 1, dtype=np.float64))
    distances = squares[:, None] + squares
    weights = np.exp(-0.5 * distances / sigma**2) * (np.sqrt(distances) <= reach)
    return weights.astype(np.float32)
