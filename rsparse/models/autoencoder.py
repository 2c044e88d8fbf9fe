"""Run networks that map an image to an image, such as ComDefend's, in onnxruntime or torch."""

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
"""How many pixels around each one the networks see: two times nine 3×3 convolutions."""

TILE = 320
"""Largest side of a tile in pixels; computing one takes about 400 MB of memory."""

Span = tuple[slice, slice, slice]
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Autoencoder:
    """A graph from images (n, 3, h, w) in [0, 1] to images of the same size.

    Large images are computed in tiles. Each tile is cut out together with all the surrounding
    pixels that its own pixels see, so the result equals that for the whole image.

    Parameters
    ----------
    run : callable
        Computes the graph, float32.
    tile : int
        Largest side of a tile in pixels, without its surroundings.
    """

    def __init__(self, run: Run, tile: int = TILE) -> None:
        self.tile = tile
        self._run = run

    def restored(self, images: Pixels) -> Pixels:
        """Pass images (n, h, w, 3), uint8 RGB, through the networks and round the result.

        Raises
        ------
        InputError
            If the device's memory is too small for a tile.
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
        """``restored`` for images (h, w, 3) of any sizes; images of one size form a batch."""
        alike: dict[tuple[int, ...], list[int]] = {}
        for number, image in enumerate(images):
            alike.setdefault(image.shape, []).append(number)
        restored: dict[int, Pixels] = {}
        for numbers in alike.values():
            some = self.restored(np.stack([images[number] for number in numbers]))
            restored.update(zip(numbers, some, strict=True))
        return [restored[number] for number in range(len(images))]


def _spans(length: int, tile: int) -> Iterator[Span]:
    """Split an axis into equal parts; yield each with surroundings, without, and within them."""
    n_parts = -(-length // tile)
    edges = [length * i // n_parts for i in range(n_parts + 1)]
    for start, stop in itertools.pairwise(edges):
        first = max(0, start - REACH)
        around = slice(first, min(length, stop + REACH))
        yield around, slice(start, stop), slice(start - first, stop - first)


@lru_cache(maxsize=1)
def load_autoencoder(path: Path, device: str | None = None) -> Autoencoder:
    """Load the networks of an ONNX file, once per process.

    Parameters
    ----------
    path : Path
    device : str, optional
        A torch device. By default onnxruntime computes one image at a time on one core.

    Raises
    ------
    InputError
        If the networks cannot be run on that device.
    """
    if device is not None:
        from rsparse.models.torch.network import TorchNetwork

        return Autoencoder(TorchNetwork(onnx.load(path), device))
    session = Session(onnx.load(path), path)
    return Autoencoder(lambda x: session.run(x)[0])
