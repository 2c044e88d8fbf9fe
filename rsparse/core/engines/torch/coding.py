"""Sparse coding of a batch of images: ``engines.cpu.coding.sparse_code`` in torch.

The patches of all images are coded together, in chunks. As on the CPU, each image's z-score is
part of its own copy of the dictionary. Nothing waits for the device, since the caller chooses the
patches to code and all sizes are known in advance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.torch.decoding import Tables
from rsparse.core.engines.torch.grids import Grid
from rsparse.core.engines.torch.overlap import add_bands, count_coverage
from rsparse.core.engines.torch.steps import TORCH, Steps
from rsparse.core.engines.torch.transfer import to_device

_GPU_BYTES = 4 << 30  # large chunks, so that starting kernels costs little
_CPU_BYTES = 16 << 20  # fits into a cache


class _Piece(NamedTuple):
    """A range of patches of one layer, as indices in its list of coded patches."""

    layer: int
    start: int
    stop: int


class _Layers(NamedTuple):
    """The layers that are coded separately (images, or their channels), and their z-scores.

    ``x`` (l, h, w, c) has mean colour 0; ``mean``, ``deviation`` and ``scale`` (l, m) are computed
    over the grid of patches; ``offset`` (l, m) is a patch without atoms.
    """

    x: Tensor
    mean: Tensor
    deviation: Tensor
    scale: Tensor
    offset: Tensor


def sparse_code(
    x: Tensor,
    dictionary: Dictionary,
    where: Grid,
    coded_places: Sequence[NDArray[np.intp]],
    sparsity: int,
    min_correlation: float = 0.0,
    steps: Steps = TORCH,
) -> tuple[Tensor, Tensor]:
    """Replace images by the average of their sparsely coded, overlapping patches.

    Parameters
    ----------
    x : float32 tensor of shape (n, h, w, 3), in [0, 1]
    dictionary : Dictionary
    where : Grid
    coded_places : sequence of n int arrays
        For each image, the indices in reading order of the patches to code.
    sparsity : int
        K.
    min_correlation : float
        As on the CPU.
    steps : Steps
        Implementations of the slow steps.

    Returns
    -------
    coded : float32 tensor of shape (n, h, w, 3)
        Not clipped; 0 at pixels without a coded patch.
    covered : bool tensor of shape (n, h, w)
    """
    n, height, width, _ = x.shape
    atoms = to_device(dictionary.atoms, x.device)
    layers = _layers(x, dictionary, where)
    each = len(layers.x) // n  # layers per image
    places = [image for image in coded_places for _ in range(each)]
    stops = (sparsity, min_correlation)
    rows, weights = _encode(layers, atoms, dictionary, stops, where, places, steps)
    total = _decode(layers, atoms, rows, weights, where, steps)
    hits = weights[::each, :, -1].view(n, len(where.rows), len(where.columns))
    counts = count_coverage(hits, where, dictionary.patch_size, height, width)
    coded = total.view(n, each, height, width, -1).permute(0, 2, 3, 1, 4).reshape(x.shape)
    return coded / counts.clamp(min=1)[..., None], counts > 0


def _layers(x: Tensor, dictionary: Dictionary, where: Grid) -> _Layers:
    """Split images (n, h, w, 3) into layers, and compute their z-scores."""
    if not dictionary.color:
        x = x.permute(0, 3, 1, 2).reshape(-1, *x.shape[1:3], 1)
    b, (n, _, _, c) = dictionary.patch_size, x.shape
    center = x.new_zeros((n, c))
    if dictionary.normalize:
        center = x.mean(dim=(1, 2), dtype=torch.float64).float()
    x = (x - center[:, None, None]).contiguous()
    mean, deviation = x.new_zeros((n, b * b * c)), x.new_ones((n, b * b * c))
    if dictionary.normalize:
        mean, deviation = _patch_statistics(x, b, where)
    scale = torch.where(deviation > 1e-6, 1 / deviation, 0)
    return _Layers(x, mean, deviation, scale, mean + center.repeat(1, b * b))


def _patch_statistics(x: Tensor, patch_size: int, where: Grid) -> tuple[Tensor, Tensor]:
    """Compute mean and deviation (l, m) of each patch dimension over each layer's patches.

    Row i of all patches consists of certain rows of the image. A matrix of zeros and ones selects
    and sums them; another one does so for the columns.
    """
    down, along = (
        _picked(starts, patch_size, length, x)
        for starts, length in zip((where.rows, where.columns), x.shape[1:3], strict=True)
    )
    channels_first = x.permute(0, 3, 1, 2).double()

    def mean_of(values: Tensor) -> Tensor:
        sums = down @ (values @ along.T)  # (l, c, b, b)
        return sums.permute(0, 2, 3, 1).reshape(len(x), -1) / len(where)

    mean = mean_of(channels_first)
    variance = mean_of(channels_first.square()) - mean.square()
    return mean.float(), variance.clamp(min=0).sqrt().float()


def _picked(starts: NDArray[np.intp], patch_size: int, length: int, like: Tensor) -> Tensor:
    """Build a matrix (b, length): 1 where pixel i of a patch at one of ``starts`` is located."""
    picked = np.zeros((patch_size, length))
    for i in range(patch_size):
        picked[i, starts + i] = 1
    return to_device(picked, like.device)


def _encode(
    layers: _Layers,
    atoms: Tensor,
    dictionary: Dictionary,
    stops: tuple[int, float],
    where: Grid,
    places: Sequence[NDArray[np.intp]],
    steps: Steps,
) -> tuple[Tensor, Tensor]:
    """Code all patches of all layers: atoms and weights (l, patches, K + 1).

    The last entry of each code is the layer's offset. Its weight is 1 for coded patches; patches
    that are not coded have only weights 0. ``stops`` holds K and ``min_correlation``.
    """
    (k, m), device = atoms.shape, atoms.device
    sparsity = min(stops[0], k, m)
    columns, gram = atoms.T.contiguous(), to_device(dictionary.gram, device)
    rows = torch.zeros((len(places) * len(where), sparsity + 1), dtype=torch.int32, device=device)
    weights = torch.zeros(rows.shape, device=device)
    rows[:, -1] = k
    every_place = _on_device(places, where, device)
    begins = np.cumsum([0, *map(len, places)])
    size = _chunk_size(4 * (3 * k + 2 * m), device)
    for chunk in _chunks([len(layer) for layer in places], size):
        correlations = torch.empty((sum(p.stop - p.start for p in chunk), k), device=device)
        target = torch.empty(len(correlations), dtype=torch.int64, device=device)
        filled = 0
        for layer, start, stop in chunk:
            part = slice(filled, filled + stop - start)
            filled = part.stop
            place = every_place[begins[layer] + start : begins[layer] + stop]
            encoder = columns * layers.scale[layer, :, None]
            patches = steps.take(layers.x[layer], place, where, dictionary.patch_size)
            bias = -(layers.mean[layer] @ encoder)
            torch.addmm(bias, patches, encoder, out=correlations[part])
            target[part] = place + layer * len(where)
        chosen, coefficients = steps.pursue(correlations, gram, sparsity, stops[1])
        rows[target, :-1] = chosen.T.int()
        weights[target] = torch.cat([coefficients.T, torch.ones_like(coefficients[:1]).T], dim=1)
    shape = (len(places), len(where), sparsity + 1)
    return rows.view(shape), weights.view(shape)


def _on_device(places: Sequence[NDArray[np.intp]], where: Grid, device: torch.device) -> Tensor:
    """Concatenate all layers' indices on the device; those of whole grids are created there."""
    if all(len(layer) == len(where) for layer in places):
        return torch.arange(len(where), device=device).repeat(len(places))
    return to_device(np.concatenate(places).astype(np.int32), device).long()


def _chunks(counts: Sequence[int], size: int) -> Iterator[list[_Piece]]:
    """Group all patches of all layers in chunks of at most ``size``.

    A layer is split independently of the others, so that its results do not depend on them.
    """
    chunk: list[_Piece] = []
    filled = 0
    for layer, count in enumerate(counts):
        for start in range(0, count, size):
            piece = _Piece(layer, start, min(start + size, count))
            if filled + piece.stop - piece.start > size:
                yield chunk
                chunk, filled = [], 0
            chunk.append(piece)
            filled += piece.stop - piece.start
    if chunk:
        yield chunk


def _decode(
    layers: _Layers, atoms: Tensor, rows: Tensor, weights: Tensor, where: Grid, steps: Steps
) -> Tensor:
    """Sum all coded patches of each layer (l, h, w, c)."""
    n_layers, height, width, c = layers.x.shape
    m, n_columns = atoms.shape[1], len(where.columns)
    b = round((m / c) ** 0.5)
    room = max(1, _chunk_size(8 * m, atoms.device) // n_columns)  # rows of patches per chunk
    n_rows = min(room, len(where.rows))  # rows of one layer per chunk
    together = max(1, room // n_rows)  # layers per chunk
    by_column = [
        values.view(-1, b, b, c).transpose(1, 2).reshape(-1, m)  # the order that bands expect
        for values in (atoms, layers.deviation, layers.offset)
    ]
    total = layers.x.new_zeros((n_layers, height, width, c))
    for first in range(0, n_layers, together):
        some = slice(first, first + together)
        tables = Tables(by_column[0], by_column[1][some], by_column[2][some])
        for top in range(0, len(where.rows), n_rows):
            starts = where.rows[top : top + n_rows]
            strip = slice(top * n_columns, (top + len(starts)) * n_columns)
            codes = rows[some, strip], weights[some, strip]
            bands = steps.bands(tables, *codes, where, b, width)
            add_bands(total[some], bands, starts, where.stride)
    return total


def _chunk_size(bytes_each: int, device: torch.device) -> int:
    """Return the number of patches in a chunk; it is the same on identical machines."""
    budget = _CPU_BYTES
    if device.type == "cuda":
        budget = min(_GPU_BYTES, torch.cuda.get_device_properties(device).total_memory // 8)
    return max(1, budget // bytes_each)
