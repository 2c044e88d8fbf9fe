"""Resize images, in the same way for all classifiers and their torch twins.

An axis that shrinks is averaged by area, an axis that grows is interpolated linearly; each axis
is resized on its own, in float32 and without rounding. The operation is linear in the pixels, so
the twin applies the same numbers along both axes and can differentiate through them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.models.fit import Axis, Fit
from rsparse.store.images import to_pixels, to_unit

Floats = NDArray[np.float32]

_LARGE = 2**24
"""Pixels of an intermediate image from which the axis that shrinks is resized first."""

_NEGLIGIBLE = 1e-3
"""The part of a pixel that OpenCV leaves out of an average."""


def resize(image: Floats, fit: Fit) -> Floats:
    """Bring an image to the size of an input.

    Parameters
    ----------
    image : ndarray of shape (h, w, c), float32
        Of any value range.
    fit : Fit

    Returns
    -------
    ndarray of shape (*fit.size, c), float32
        ``image`` itself if it has that size already.
    """
    if image.shape[:2] == fit.size:
        return image
    return _squashed(image, fit.size) if fit.crop is None else _cut(image, fit)


def _squashed(image: Floats, size: tuple[int, int]) -> Floats:
    height, width = size
    rows, columns = image.shape[:2]
    if (height <= rows) == (width <= columns) or rows == height or columns == width:
        shrinks = height < rows or width < columns
        return _resized(image, height, width, shrinks)
    if height > rows and height * columns > _LARGE:
        return _resized(_resized(image, rows, width, shrinks=True), height, width, shrinks=False)
    return _resized(_resized(image, height, columns, height < rows), height, width, width < columns)


def _resized(image: Floats, height: int, width: int, shrinks: bool) -> Floats:
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=interpolation)
    return np.asarray(resized, np.float32).reshape(height, width, -1)


def _cut(image: Floats, fit: Fit) -> Floats:
    """Compute only the pixels that are kept, since the whole resized image may be huge."""
    down, along = fit.axes(*image.shape[:2])
    if down.n_kept * along.n_from <= down.n_from * along.n_kept:
        return _along_columns(_along_rows(image, down), along)
    return _along_rows(_along_columns(image, along), down)


def _along_rows(image: Floats, axis: Axis) -> Floats:
    weights = resize_weights(axis)
    made = np.zeros((axis.n_kept, *image.shape[1:]), np.float32)
    for places, shares in zip(weights.places.T, weights.shares.T, strict=True):
        made += shares[:, None, None] * image[places]
    return made


def _along_columns(image: Floats, axis: Axis) -> Floats:
    turned = np.ascontiguousarray(image.swapaxes(0, 1))
    return np.ascontiguousarray(_along_rows(turned, axis).swapaxes(0, 1))


def fit_pixels(image: NDArray[np.uint8], fit: Fit) -> NDArray[np.uint8]:
    """Fit an image (h, w, 3) and round it to 8 bits; return ``image`` if it has the size."""
    if image.shape[:2] == fit.size:
        return image
    return to_pixels(resize(to_unit(image), fit))


@dataclass(frozen=True)
class ResizeWeights:
    """What ``resize`` computes along one axis: each new pixel is a sum of a few old ones.

    Attributes
    ----------
    places : ndarray of shape (n_kept, n), int64
        The old pixels of each new one.
    shares : ndarray of shape (n_kept, n), float32
        Their weights.
    """

    places: NDArray[np.int64]
    shares: Floats

    def matrix(self, n_from: int) -> Floats:
        """The same as a matrix of shape (n_kept, n_from)."""
        dense = np.zeros((len(self.places), n_from), np.float32)
        rows = np.arange(len(self.places))[:, None]
        np.add.at(dense, (rows, self.places), self.shares)
        return dense


@lru_cache(maxsize=16)
def resize_weights(axis: Axis) -> ResizeWeights:
    """The weights along one axis; they are read-only, since they are cached."""
    kept = np.arange(axis.start, axis.start + axis.n_kept)
    if axis.n_resized == axis.n_from:
        places, shares = kept[:, None], np.ones((axis.n_kept, 1))
    elif axis.n_resized < axis.n_from:
        places, shares = _averaged(kept, axis)
    else:
        places, shares = _interpolated(kept, axis)
    weights = ResizeWeights(places.clip(0, axis.n_from - 1), shares.astype(np.float32))
    weights.places.flags.writeable = weights.shares.flags.writeable = False
    return weights


def _averaged(kept: NDArray[np.int64], axis: Axis) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The pixels below each new one, with their parts of its width, as OpenCV computes them."""
    scale = axis.n_from / axis.n_resized
    low = kept * scale
    high = low + scale
    width = np.minimum(scale, axis.n_from - low)
    last = np.minimum(np.floor(high), axis.n_from - 1)
    first = np.minimum(np.ceil(low), last)
    places = (first - 1)[:, None] + np.arange(int((last - first).max()) + 2)
    before = np.where(first - low > _NEGLIGIBLE, first - low, 0)
    after = np.where(high - last > _NEGLIGIBLE, np.minimum(np.minimum(high - last, 1), width), 0)
    parts = np.where(places < last[:, None], 1.0, 0.0)
    parts = np.where(places == last[:, None], after[:, None], parts)
    parts[:, 0] = before
    return places.astype(np.int64), parts / width[:, None]


def _interpolated(
    kept: NDArray[np.int64], axis: Axis
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The two pixels around each new one; the outermost are continued outwards."""
    position = (kept + 0.5) * (axis.n_from / axis.n_resized) - 0.5
    place = np.floor(position)
    share = position - place
    outside = (place < 0) | (place >= axis.n_from - 1)
    share = np.where(outside, 0, share).astype(np.float32)
    place = place.clip(0, axis.n_from - 1).astype(np.int64)
    return np.stack([place, place + 1], axis=1), np.stack([1 - share, share], axis=1)


@lru_cache(maxsize=8)
def resize_matrix(axis: Axis) -> Floats:
    """``resize_weights`` as a matrix of shape (n_kept, n_from), read-only."""
    matrix = resize_weights(axis).matrix(axis.n_from)
    matrix.flags.writeable = False
    return matrix
