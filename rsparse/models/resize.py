"""Resize images, in the same way for all classifiers and their torch twins.

An axis that shrinks is averaged by area, an axis that grows is interpolated linearly; each axis
is resized on its own, in float32 and without rounding. The operation is linear in the pixels, so
the twin applies the same numbers as two matrix products and can differentiate through them.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.store.images import to_pixels, to_unit


def resize(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize a whole image.

    Parameters
    ----------
    image : ndarray of shape (h, w, c), float32
        Of any value range.
    size : (int, int)
        Height and width of the result.

    Returns
    -------
    ndarray of shape (*size, c), float32
        ``image`` itself if it has that size already.
    """
    height, width = size
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return image
    if (height <= rows) == (width <= columns) or rows == height or columns == width:
        shrinks = height < rows or width < columns
        return _resized(image, height, width, shrinks)
    return _resized(_resized(image, height, columns, height < rows), height, width, width < columns)


def _resized(
    image: NDArray[np.float32], height: int, width: int, shrinks: bool
) -> NDArray[np.float32]:
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=interpolation)
    return np.asarray(resized, np.float32).reshape(height, width, -1)


def fit_pixels(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a whole image (h, w, 3) and round it to 8 bits; return ``image`` if it fits."""
    if image.shape[:2] == size:
        return image
    return to_pixels(resize(to_unit(image), size))


@lru_cache(maxsize=16)
def resize_matrix(n_from: int, n_to: int) -> NDArray[np.float32]:
    """The matrix of shape (n_to, n_from) that ``resize`` applies along one axis.

    Its columns are the resized unit vectors. It is read-only, since it is cached.
    """
    unit = np.eye(n_from, dtype=np.float32)
    method = cv2.INTER_AREA if n_to < n_from else cv2.INTER_LINEAR
    matrix = np.asarray(cv2.resize(unit, (n_from, n_to), interpolation=method), np.float32)
    matrix.flags.writeable = False
    return matrix
