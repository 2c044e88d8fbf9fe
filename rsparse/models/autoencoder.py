"""Networks that give an image back: ComDefend's, through onnxruntime or torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from rsparse.models.onnx.session import Session
from rsparse.store.images import Pixels, to_pixels, to_unit

REACH = 18
"""Pixels that the networks see around each one: two times nine convolutions of 3×3."""

TILE = 320
"""Largest side, in pixels, of what is computed at once; some 400 MB of memory."""

Span = tuple[slice, slice, slice]
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Autoencoder:
    """A graph from images (n, 3, h, w) in [0, 1] to images of the same size.

    Larger images are computed in tiles. A tile is cut out with all that its pixels see, and only
    where the image ends does it end, so that the result is that of the whole image.

    Parameters
    ----------
    run : callable
        Computes the graph, float32.
    tile : int
        Largest side of a tile, without what is around it.
    """

    def __init__(self, run: Run, tile: int = TILE) -> None:
        self.tile = tile
        self._run = run

    def restored(self, images: Pixels) -> Pixels:
        """What the networks make of images (n, h, w, 3), uint8 RGB, rounded again.

        Raises
        ------
        InputError
            If a tile of one of them is too large for the memory of the device that computes.
        """
        restored = np.empty_like(images)
        height, width = images.shape[1:3]
        for around_rows, rows, kept_rows in _spans(height, self.tile):
            for around_columns, columns, kept_columns in _spans(width, self.tile):
                x = to_unit(images[:, around_rows, around_columns]).transpose(0, 3, 1, 2).copy()
                tile = to_pixels(self._run(x).transpose(0, 2, 3, 1))
                restored[:, rows, columns] = tile[:, kept_rows, kept_columns]
        return restored

    def restored_together(self, images: Sequence[Pixels]) -> list[Pixels]:
        """The same for images (h, w, 3) of any sizes; those of one size are computed together."""
        alike: dict[tuple[int, ...], list[int]] = {}
        for number, image in enumerate(images):
            alike.setdefault(image.shape, []).append(number)
        restored: dict[int, Pixels] = {}
        for numbers in alike.values():
            some = self.restored(np.stack([images[number] for number in numbers]))
            restored.update(zip(numbers, some, strict=True))
        return [restored[number] for number in range(len(images))]


def _spans(length: int, tile: int) -> Iterator[Span]:
    """For each of some equal parts: the part with its surroundings, itself, itself in those."""
    n_parts = -(-length // tile)
    edges = [length * i // n_parts for i in range(n_parts + 1)]
    for start, stop in itertools.pairwise(edges):
        first = max(0, start - REACH)
        around = slice(first, min(length, stop + REACH))
        yield around, slice(start, stop), slice(start - first, stop - first)


@lru_cache(maxsize=1)
def load_autoencoder(path: Path, device: str | None = None) -> Autoencoder:
    """The networks of an ONNX file, read once in each process.

    Parameters
    ----------
    path : Path
    device : str, optional
        Torch's; without one it is onnxruntime that computes, an image at a time on one core.

    Raises
    ------
    InputError
        If the networks cannot be run there.
    """
    if device is not None:
        from rsparse.models.torch.network import TorchNetwork

        return Autoencoder(TorchNetwork(onnx.load(path), device))
    session = Session(onnx.load(path), path)
    return Autoencoder(lambda x: session.run(x)[0])
