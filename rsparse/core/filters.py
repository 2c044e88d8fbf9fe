"""Smooth whole images, mostly with OpenCV."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Value = TypeVar("Value", np.uint8, np.float32)


def bilateral(image: Pixels, diameter: int, sigma_color: float, sigma_space: float) -> Pixels:
    """Smooth gradients and keep edges: the paper's background perturbation suppression.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    diameter : int
        Diameter of the neighbourhood in pixels.
    sigma_color : float
        Tolerance in grey levels; neighbours that differ by much more have little weight.
    sigma_space : float
        Distance in pixels; neighbours much farther away have little weight.
    """
    filtered = cv2.bilateralFilter(image, diameter, sigma_color, sigma_space)
    return np.asarray(filtered, dtype=np.uint8)


def median(image: Pixels, size: int) -> Pixels:
    """Replace each pixel by the median of its neighbourhood, channel by channel.

    The image is mirrored at its border, including the outermost pixel. A window of even size
    extends further to the left and up, and its median is the larger of the two middle values.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    size : int
        Side of the square window in pixels.
    """
    if size % 2 == 0:
        from scipy.ndimage import median_filter  # takes a tenth of a second to import

        return median_filter(image, (size, size, 1), mode="reflect")
    reach = size // 2
    mirrored = cv2.copyMakeBorder(image, reach, reach, reach, reach, cv2.BORDER_REFLECT)
    height, width = image.shape[:2]
    filtered = cv2.medianBlur(mirrored, size)[reach : reach + height, reach : reach + width]
    return np.ascontiguousarray(filtered, dtype=np.uint8)


def gaussian(image: NDArray[Value], sigma: float) -> NDArray[Value]:
    """Blur by a Gaussian of standard deviation ``sigma`` pixels, mirrored at the border.

    The image is uint8, or float32 of any range.
    """
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=image.dtype)
