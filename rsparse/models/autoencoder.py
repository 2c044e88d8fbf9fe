"""Networks that give an image back: ComDefend's, through onnxruntime."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx

from rsparse.images import Pixels, to_pixels, to_unit
from rsparse.models.session import Session

REACH = 18
"""Pixels that the networks see around each one: two times nine convolutions of 3×3."""

TILE = 320
"""Largest side, in pixels, of what is computed at once; some 400 MB of memory."""

Span = tuple[slice, slice, slice]


class Autoencoder:
    """A graph from images (1, 3, h, w) in [0, 1] to images of the same size.

    Larger images are computed in tiles. A tile is cut out with all that its pixels see, and only
    where the image ends does it end, so that the result is that of the whole image.

    Parameters
    ----------
    path : Path
        The ONNX file.
    tile : int
        Largest side of a tile, without what is around it.
    """

    def __init__(self, path: Path, tile: int = TILE) -> None:
        self.tile = tile
        self._session = Session(onnx.load(path), path)

    def restored(self, image: Pixels) -> Pixels:
        """What the networks make of an image (h, w, 3), uint8 RGB, rounded again."""
        restored = np.empty_like(image)
        height, width = image.shape[:2]
        for around_rows, rows, kept_rows in _spans(height, self.tile):
            for around_columns, columns, kept_columns in _spans(width, self.tile):
                tile = self._run(image[around_rows, around_columns])
                restored[rows, columns] = tile[kept_rows, kept_columns]
        return restored

    def _run(self, image: Pixels) -> Pixels:
        (output,) = self._session.run(to_unit(image).transpose(2, 0, 1)[None].copy())
        return to_pixels(output[0].transpose(1, 2, 0))


def _spans(length: int, tile: int) -> Iterator[Span]:
    """For each of some equal parts: the part with its surroundings, itself, itself in those."""
    n_parts = -(-length // tile)
    edges = [length * i // n_parts for i in range(n_parts + 1)]
    for start, stop in itertools.pairwise(edges):
        first = max(0, start - REACH)
        around = slice(first, min(length, stop + REACH))
        yield around, slice(start, stop), slice(start - first, stop - first)


@lru_cache(maxsize=1)
def load_autoencoder(path: Path) -> Autoencoder:
    """The networks of a file, read once in each process.

    Raises
    ------
    InputError
        If onnxruntime cannot run them.
    """
    return Autoencoder(path)
