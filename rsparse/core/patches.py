"""Place patches on an image, extract them, and standardise them by eq. (17)."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixel = TypeVar("Pixel", np.float32, np.uint8)


def grid(length: int, patch_size: int, stride: int) -> NDArray[np.intp]:
    """Return the starts of patches along one side: every ``stride`` pixels, and one at the end.

    >>> grid(10, 4, 3)
    array([0, 3, 6])
    >>> grid(11, 4, 3)
    array([0, 3, 6, 7])
    """
    last = length - patch_size
    return np.append(np.arange(0, last, stride), last)


def positions(
    shape: tuple[int, int], patch_size: int, stride: int, mask: NDArray[np.bool_] | None = None
) -> NDArray[np.intp]:
    """Return the upper left corners of the patches that cover an image.

    Parameters
    ----------
    shape : (int, int)
        Height and width, each at least ``patch_size``.
    patch_size, stride : int
    mask : bool array of shape (h, w), optional
        Keep only the patches that contain a true pixel.

    Returns
    -------
    int array of shape (n, 2)
        Rows and columns, in reading order.
    """
    rows = grid(shape[0], patch_size, stride)
    columns = grid(shape[1], patch_size, stride)
    corners = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    return corners if mask is None else corners[touching(mask, rows, columns, patch_size).ravel()]


def touching(
    mask: NDArray[np.bool_],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    patch_size: int,
) -> NDArray[np.bool_]:
    """Find the patches of a grid that contain a true pixel.

    Parameters
    ----------
    mask : bool array of shape (h, w)
    rows, columns : int arrays of shape (ny,) and (nx,)
        Starts of the patches along each side.
    patch_size : int

    Returns
    -------
    bool array of shape (ny, nx)
    """
    if mask.all():
        return np.ones((len(rows), len(columns)), dtype=bool)
    sums = cv2.integral(mask.astype(np.uint8))
    strips = sums[rows + patch_size] - sums[rows]
    return np.asarray(strips[:, columns + patch_size] > strips[:, columns])


def take(image: NDArray[Pixel], corners: NDArray[np.intp], patch_size: int) -> NDArray[Pixel]:
    """Extract the patches at ``corners`` as rows of ``b·b·c`` numbers (row, column, channel).

    Parameters
    ----------
    image : array of shape (h, w, c)
    corners : int array of shape (n, 2)
    patch_size : int

    Returns
    -------
    array of shape (n, b·b·c), of the image's type
    """
    windows = sliding_window_view(image, (patch_size, patch_size), axis=(0, 1))
    patches = windows[corners[:, 0], corners[:, 1]]  # (n, c, b, b)
    size = patch_size**2 * image.shape[2]
    return np.ascontiguousarray(np.moveaxis(patches, 1, 3)).reshape(len(corners), size)


def z_score(patches: Floats) -> Floats:
    """Standardise each dimension over the patches of one image, eq. (17).

    A dimension without variance becomes 0.

    Parameters
    ----------
    patches : float array of shape (n, m)

    Returns
    -------
    float array of shape (n, m)
    """
    mean = patches.mean(axis=0, dtype=np.float64)
    deviation = patches.std(axis=0, dtype=np.float64)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-6)
    return ((patches - mean) * scale).astype(np.float32)


def patch_statistics(image: Floats, patch_size: int, stride: int) -> tuple[Floats, Floats]:
    """Compute mean and standard deviation of each patch dimension over an image's grid of patches.

    The patches themselves are not needed: dimension (i, j) of all patches is the image, shifted by
    (i, j) and sampled on the grid.

    Parameters
    ----------
    image : float array of shape (h, w, c)
    patch_size, stride : int

    Returns
    -------
    mean, deviation : float arrays of shape (b·b·c,)
    """
    rows = grid(image.shape[0], patch_size, stride)
    columns = grid(image.shape[1], patch_size, stride)
    by_row = np.empty((len(image), patch_size, image.shape[2]))  # sums along the rows, (h, b, c)
    squares = np.empty_like(by_row)
    for j in range(patch_size):
        sampled = image[:, columns + j]
        by_row[:, j] = sampled.sum(axis=1, dtype=np.float64)
        squares[:, j] = np.square(sampled, dtype=np.float64).sum(axis=1)
    count = len(rows) * len(columns)
    index = rows[:, None] + np.arange(patch_size)  # (ny, b)
    mean = by_row[index].sum(axis=0) / count  # (b, b, c)
    variance = squares[index].sum(axis=0) / count - mean**2
    deviation = np.sqrt(np.maximum(variance, 0))
    return mean.ravel().astype(np.float32), deviation.ravel().astype(np.float32)
