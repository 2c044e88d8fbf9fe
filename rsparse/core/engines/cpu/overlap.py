"""Average overlapping patches, band by band from the top of an image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_BAND = 1 << 18
"""Pixels that are finished together, so that few parts are moved."""


class Part(NamedTuple):
    """Sums of patches at a place of an image.

    ``strips`` holds sums (rows, columns, c), which are added one after the other, each with its
    first row below ``top``; ``counts`` (rows, columns) is the number of patches over each pixel.
    """

    top: int
    left: int
    strips: list[tuple[int, Floats]]
    counts: Floats


class Overlap:
    """Sums of patches in the rows to which further patches may be added.

    Parameters
    ----------
    width, channels : int
        Those of the image.
    """

    def __init__(self, width: int, channels: int) -> None:
        self._top = 0
        self._step = max(_BAND // width, 1)
        self._sums = np.zeros((0, width, channels), np.float32)
        self._counts = np.zeros((0, width), np.float32)

    def add(self, part: Part) -> None:
        """Add sums, whose top is at or below those of the sums before."""
        if not len(self._sums):
            self._top = part.top
        top = part.top - self._top
        more = top + len(part.counts) - len(self._sums)
        if more > 0:
            self._sums = _lengthened(self._sums, more)
            self._counts = _lengthened(self._counts, more)
        columns = slice(part.left, part.left + part.counts.shape[1])
        for first, sums in part.strips:
            self._sums[top + first : top + first + len(sums), columns] += sums
        self._counts[top : top + len(part.counts), columns] += part.counts

    def finished_above(self, row: int) -> Iterator[tuple[int, Floats, Mask]]:
        """The averages of the rows above ``row``, if there are many; see ``rest``."""
        if row - self._top >= self._step:
            yield from self._taken(min(row - self._top, len(self._sums)))

    def rest(self) -> Iterator[tuple[int, Floats, Mask]]:
        """The first row, the averages and the covered pixels of all rows that are left."""
        yield from self._taken(len(self._sums))

    def _taken(self, n: int) -> Iterator[tuple[int, Floats, Mask]]:
        for start in range(0, n, self._step):
            part = slice(start, min(start + self._step, n))
            counts = self._counts[part]
            average = np.divide(
                self._sums[part], np.maximum(counts, 1)[:, :, None], dtype=np.float32
            )
            yield self._top + start, average, counts > 0
        self._sums, self._counts = self._sums[n:].copy(), self._counts[n:].copy()
        self._top += n


def _lengthened(array: Floats, more: int) -> Floats:
    """The array with further rows of zeros."""
    return np.concatenate([array, np.zeros((more, *array.shape[1:]), np.float32)])
