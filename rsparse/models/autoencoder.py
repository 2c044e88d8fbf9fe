"""Run networks that map an image to an image, such as ComDefend's, in onnxruntime or torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from rsparse.models.onnx.session import open_runtime
from rsparse.store.images import Pixels, to_pixels, to_unit

REACH = 18
"""How many pixels around each one the networks see: two times nine 3×3 convolutions."""

TILE = 320
"""Largest side of a tile in pixels; computing one takes about 400 MB of memory."""

BITS = 12
"""Numbers of the code of a pixel."""

Span = tuple[slice, slice, slice]
Floats = NDArray[np.float32]
Run = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class CodeNoise:
    """Gaussian noise for the code of one image, row by row.

    Attributes
    ----------
    deviation : float
        Standard deviation, in the unit of the compressor's output.
    seed : int
    """

    deviation: float
    seed: int

    def rows(self, start: int, stop: int, width: int) -> Floats:
        """The noise of some rows of an image of that width, (stop − start, w, ``BITS``)."""
        return np.float32(self.deviation) * np.stack([
            np.random.default_rng([self.seed, row]).standard_normal((width, BITS), np.float32)
            for row in range(start, stop)
        ])  # fmt: skip


NO_NOISE = CodeNoise(0, 0)


class Autoencoder:
    """A graph from images (n, 3, h, w) in [0, 1] to images of the same size.

    A bit of the code is 1 if the compressor's output is above the noise, (n, 12, h, w). Large
    images are computed in tiles. Each tile is cut out together with all the surrounding pixels
    that its own pixels see, so the result equals that for the whole image.

    Parameters
    ----------
    run : callable
        Computes the graph for images and noise, float32.
    tile : int
        Largest side of a tile in pixels, without its surroundings.
    """

    def __init__(self, run: Run, tile: int = TILE) -> None:
        self.tile = tile
        self._run = run

    def restored(self, images: Pixels, noises: Sequence[CodeNoise] | None = None) -> Pixels:
        """Pass images (n, h, w, 3), uint8 RGB, through the networks and round the result.

        The noise of each image is zero by default.

        Raises
        ------
        InputError
            If the device's memory is too small for a tile.
        """
        restored = np.empty_like(images)
        height, width = images.shape[1:3]
        noises = noises or [NO_NOISE] * len(images)
        for around_rows, rows, kept_rows in _spans(height, self.tile):
            noise = _noise(noises, around_rows, width)
            for around_columns, columns, kept_columns in _spans(width, self.tile):
                x = to_unit(images[:, around_rows, around_columns]).transpose(0, 3, 1, 2).copy()
                tile = to_pixels(self._run(x, noise[..., around_columns]).transpose(0, 2, 3, 1))
                restored[:, rows, columns] = tile[:, kept_rows, kept_columns]
        return restored

    def restored_together(
        self, images: Sequence[Pixels], noises: Sequence[CodeNoise] | None = None
    ) -> list[Pixels]:
        """``restored`` for images (h, w, 3) of any sizes; images of one size form a batch."""
        noises = noises or [NO_NOISE] * len(images)
        alike: dict[tuple[int, ...], list[int]] = {}
        for number, image in enumerate(images):
            alike.setdefault(image.shape, []).append(number)
        restored: dict[int, Pixels] = {}
        for numbers in alike.values():
            stacked = np.stack([images[number] for number in numbers])
            some = self.restored(stacked, [noises[number] for number in numbers])
            restored.update(zip(numbers, some, strict=True))
        return [restored[number] for number in range(len(images))]


def _noise(noises: Sequence[CodeNoise], rows: slice, width: int) -> Floats:
    """The noise of some rows of several images, (n, ``BITS``, rows, w)."""
    shape = len(noises), BITS, rows.stop - rows.start, width
    if not any(noise.deviation for noise in noises):
        return np.broadcast_to(np.float32(0), shape)
    drawn = np.stack([noise.rows(rows.start, rows.stop, width) for noise in noises])
    return drawn.transpose(0, 3, 1, 2)


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
    model = _with_noise(onnx.load(path))
    if device is not None:
        from rsparse.models.torch.network import TorchNetwork

        return Autoencoder(TorchNetwork(model, device))
    session = open_runtime(model, path)
    names = [given.name for given in session.get_inputs()]

    def run(x: Floats, noise: Floats) -> Floats:
        given = x, np.ascontiguousarray(noise)
        outputs = [session.run(None, dict(zip(names, (a[None], b[None]), strict=True)))[0]
                   for a, b in zip(*given, strict=True)]  # fmt: skip
        return np.concatenate(outputs)

    return Autoencoder(run)


def _with_noise(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with the threshold of its code, 0, as a second input."""
    threshold = next(node for node in model.graph.node if node.op_type == "Greater")
    threshold.input[1] = "noise"
    shape: list[str | int | None] = ["batch", BITS, "height", "width"]
    model.graph.input.append(helper.make_tensor_value_info("noise", TensorProto.FLOAT, shape))
    return model
