"""Differentiate linear filters, and the median by the mean of its window."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.backward.borders import folded

Floats = NDArray[np.float32]


def gaussian_vjp(upper: Floats, sigma: float) -> Floats:
    """Multiply a gradient (h, w, 3) by the transpose of OpenCV's Gaussian blur of 8-bit images."""
    size = round(sigma * 6 + 1) | 1
    reach = size // 2
    kernel = cv2.getGaussianKernel(size, sigma, cv2.CV_32F)
    around = cv2.copyMakeBorder(upper, *(reach,) * 4, cv2.BORDER_CONSTANT)
    spread = cv2.sepFilter2D(around, -1, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    whole = np.asarray(spread, np.float32)
    return np.ascontiguousarray(folded(whole, (reach, reach), (reach, reach), "reflect"))


def mean_vjp(upper: Floats, size: int) -> Floats:
    """Multiply a gradient (h, w, 3) by the transpose of the mean over the median's window.

    A median passes a pixel of its window unchanged, and with noise in the image each with about
    the same chance; so the mean is the derivative that it has on average.

    Parameters
    ----------
    upper : float32 array of shape (h, w, 3)
        Gradient with respect to the filtered image.
    size : int
        As in ``core.filters.median``.
    """
    before, after = size // 2, size - 1 - size // 2
    height, width = upper.shape[:2]
    rows = np.zeros((height + size - 1, *upper.shape[1:]), np.float32)
    for offset in range(size):
        rows[offset : offset + height] += upper / np.float32(size)
    spread = np.zeros((len(rows), width + size - 1, *upper.shape[2:]), np.float32)
    for offset in range(size):
        spread[:, offset : offset + width] += rows / np.float32(size)
    return np.ascontiguousarray(folded(spread, (before, after), (before, after), "symmetric"))
