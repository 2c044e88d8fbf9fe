"""Place patches on an image, extract them, and standardise them by eq. (17)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixel = TypeVar("Pixel", np.float32, np.uint8)

_PLACES = 1 << 18
"""Pixels or patches that are looked at together."""


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


def blocks_of_positions(
    shape: tuple[int, ...],
    patch_size: int,
    stride: int,
    mask: NDArray[np.bool_] | None,
    size: int,
) -> Iterator[NDArray[np.intp]]:
    """The corners of ``positions`` in blocks of ``size``, without having all of them at a time.

    The last block may be smaller; a mask without true pixels has no blocks.
    """
    rows, columns = grid(shape[0], patch_size, stride), grid(shape[1], patch_size, stride)
    step = max(_PLACES // max(shape[1], len(columns)), 1)
    left: NDArray[np.intp] = np.empty((0, 2), np.intp)
    whole = mask is None or bool(mask.all())
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        chosen = np.ones((len(some), len(columns)), bool)
        if mask is not None and not whole:
            part = mask[some[0] : some[-1] + patch_size]
            chosen = touching(part, some - some[0], columns, patch_size)
        row, column = np.nonzero(chosen)
        left = np.concatenate([left, np.stack([some[row], columns[column]], axis=1)])
        full = len(left) // size * size
        yield from (left[place : place + size] for place in range(0, full, size))
        left = left[full:]
    if len(left):
        yield left


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
    """``statistics_by_rows`` of an image (h, w, c) in memory."""
    return statistics_by_rows(image.__getitem__, image.shape[:2], patch_size, stride)


def statistics_by_rows(
    rows_of: Callable[[slice], Floats], shape: tuple[int, ...], patch_size: int, stride: int
) -> tuple[Floats, Floats]:
    """Compute mean and standard deviation of each patch dimension over an image's grid of patches.

    The patches themselves are not needed: dimension (i, j) of all patches is the image, shifted by
    (i, j) and sampled on the grid.

    Parameters
    ----------
    rows_of : callable
        Returns some rows of the image, a float array of shape (n, w, c).
    shape : (int, int)
        Height and width of the image.
    patch_size, stride : int

    Returns
    -------
    mean, deviation : float arrays of shape (b·b·c,)
    """
    rows = grid(shape[0], patch_size, stride)
    columns = grid(shape[1], patch_size, stride)
    step = max(_PLACES // shape[1], 1)
    sums = [
        _sums_along_rows(rows_of(slice(top, min(top + step, shape[0]))), columns, patch_size)
        for top in range(0, shape[0], step)
    ]
    by_row, squares = (np.concatenate(parts) for parts in zip(*sums, strict=True))
    count = len(rows) * len(columns)
    index = rows[:, None] + np.arange(patch_size)  # (ny, b)
    mean = by_row[index].sum(axis=0) / count  # (b, b, c)
    variance = squares[index].sum(axis=0) / count - mean**2
    deviation = np.sqrt(np.maximum(variance, 0))
    return mean.ravel().astype(np.float32), deviation.ravel().astype(np.float32)


def _sums_along_rows(
    image: Floats, columns: NDArray[np.intp], patch_size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums and sums of squares along the rows for each column of a patch, (h, b, c)."""
    by_row = np.empty((len(image), patch_size, image.shape[2]))
    squares = np.empty_like(by_row)
    for j in range(patch_size):
        sampled = image[:, columns + j]
        by_row[:, j] = sampled.sum(axis=1, dtype=np.float64)
        squares[:, j] = np.square(sampled, dtype=np.float64).sum(axis=1)
    return by_row, squares
