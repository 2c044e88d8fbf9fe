"""Differentiate the sparse coding of an image, with the atoms of its patches held."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse.core.backward import loops
from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.cpu.coding import patches_over_each_pixel, standardisation
from rsparse.core.engines.cpu.loops import Loops
from rsparse.core.patches import grid, positions

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int32]


class LayerCodes(NamedTuple):
    """How a layer was coded.

    Attributes
    ----------
    x : float32 array of shape (h, w, c)
        The layer minus its mean colour, from which its patches were taken.
    held : int32 array of shape (n, u)
        The atoms that the backward pass holds for each patch; −1 ends a shorter list.
    atoms, coefficients : arrays of shape (n, K)
        The codes.
    """

    x: Floats
    held: Indices
    atoms: Indices
    coefficients: Floats


@dataclass
class CodeRecorder:
    """Notes the codes of an image while it is coded, and the atoms that the backward pass holds.

    Attributes
    ----------
    share : int
        U: a patch with K atoms in its code holds the U·K atoms that correlate most with it, and at
        least U. With 0 it holds the atoms of its code.
    """

    share: int
    _blocks: list[LayerCodes] = field(default_factory=list)
    _memory: Floats | None = None

    def on(self, inner: Loops) -> Loops:
        """The loops of an engine, which note what they do; its images have the same bytes."""
        layer: list[Floats] = []

        def gather(x: Floats, corners: NDArray[np.intp], patch_size: int, patches: Floats) -> None:
            inner.gather(x, corners, patch_size, patches)
            layer[:] = [x]

        def pursue(
            correlations: Floats,
            gram: Floats,
            sparsity: int,
            energies: Floats,
            threshold: float,
            atoms: Indices,
            coefficients: Floats,
            min_correlation: float = 0.0,
        ) -> None:
            before = self._kept(correlations) if self.share else correlations
            stops = energies, threshold, atoms, coefficients, min_correlation
            inner.pursue(correlations, gram, sparsity, *stops)
            held = self._held(before, atoms, coefficients)
            self._blocks.append(LayerCodes(layer[0], held, atoms, coefficients))

        return replace(inner, gather=gather, pursue=pursue)

    def _kept(self, correlations: Floats) -> Floats:
        """A copy of a block's correlations, in memory that the next block uses again."""
        if self._memory is None:
            self._memory = np.empty_like(correlations)
        kept = self._memory[: len(correlations)]
        kept[:] = correlations
        return kept

    def _held(self, correlations: Floats, atoms: Indices, coefficients: Floats) -> Indices:
        used = coefficients != 0
        if not self.share:
            return np.where(used, atoms, -1).astype(np.int32)
        most = min(self.share * atoms.shape[1], correlations.shape[1])
        counts = self.share * np.maximum(used.sum(axis=1, dtype=np.int32), 1)
        held = np.empty((len(counts), most), dtype=np.int32)
        loops.fastest.strongest(correlations, np.minimum(counts, most), held)
        return held

    def layers(self) -> list[LayerCodes]:
        """All layers in their order, each with all its patches; grey dictionaries code three."""
        by_layer: dict[int, list[LayerCodes]] = {}
        for block in self._blocks:
            by_layer.setdefault(id(block.x), []).append(block)
        return [
            LayerCodes(blocks[0].x, *map(np.concatenate, list(zip(*blocks, strict=True))[1:]))
            for blocks in by_layer.values()
        ]


def coding_vjp(
    upper: Floats, dictionary: Dictionary, stride: int, mask: Mask, recorder: CodeRecorder
) -> Floats:
    """Multiply a gradient by the Jacobian of ``sparse_code``, transposed.

    The overlap average and the z-score are differentiated exactly, including the statistics of the
    z-score, which depend on the whole image.

    Parameters
    ----------
    upper : float32 array of shape (h, w, 3)
        Gradient with respect to the coded image.
    dictionary, stride, mask
        As in ``sparse_code``.
    recorder : CodeRecorder
        What it noted while the image was coded.

    Returns
    -------
    float32 array of shape (h, w, 3)
        Gradient with respect to the image that was coded.
    """
    shape = upper.shape[0], upper.shape[1]
    corners = positions(shape, dictionary.patch_size, stride, mask)
    counts = patches_over_each_pixel(corners, shape, dictionary.patch_size)
    shared = upper / np.maximum(counts, 1)[:, :, None]
    layers = recorder.layers()
    parts = [
        _layer_vjp(np.ascontiguousarray(above), dictionary, stride, corners, codes)
        for above, codes in zip(np.split(shared, len(layers), axis=2), layers, strict=True)
    ]
    return np.concatenate(parts, axis=2)


def _layer_vjp(
    upper: Floats,
    dictionary: Dictionary,
    stride: int,
    corners: NDArray[np.intp],
    codes: LayerCodes,
) -> Floats:
    b, x = dictionary.patch_size, codes.x
    statistics = standardisation(x, dictionary, stride)
    lower = np.zeros_like(x)
    mean_bar, deviation_bar = np.zeros((2, statistics.mean.size))
    loops.fastest.pull_back(
        upper,
        x,
        corners,
        b,
        *codes[1:],
        dictionary.atoms,
        dictionary.gram,
        *statistics,
        lower,
        mean_bar,
        deviation_bar,
    )
    if not dictionary.normalize:
        return lower
    rows, columns = (_membership(length, b, stride) for length in x.shape[:2])
    count = rows[:, 0].sum() * columns[:, 0].sum()
    slope = deviation_bar * statistics.scale / count  # dσ/dp = (p − μ)/(σ n)
    level = mean_bar / count - statistics.mean * slope  # dμ/dp = 1/n
    lower += _spread(level, rows, columns).astype(np.float32)
    lower += _spread(slope, rows, columns).astype(np.float32) * x
    return lower


def _membership(length: int, patch_size: int, stride: int) -> NDArray[np.float64]:
    """Which places along a side (length, b) are number i of some patch of the grid."""
    starts = grid(length, patch_size, stride)
    belongs = np.zeros((length, patch_size))
    for i in range(patch_size):
        belongs[starts + i, i] = 1
    return belongs


def _spread(
    values: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum, at each pixel, the values (b·b·c,) of all patch dimensions that it is a sample of."""
    b = rows.shape[1]
    by_channel = values.reshape(b, b, -1).transpose(2, 0, 1)
    return np.moveaxis(rows @ by_channel @ columns.T, 0, 2)
