"""Decode bands in one kernel (Triton): ``decoding.coded_bands`` without storing the patches.

A program computes some pixels of one band. For each pixel it loops over the patches that cover it,
one column of a patch at a time: b·c numbers of each of its K atoms. These are contiguous in memory,
and all atoms together fit into a GPU's caches.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from rsparse.core.engines.torch.decoding import Tables
from rsparse.core.engines.torch.grids import Grid

_PIXELS, _WARPS = 64, 2


def bands(
    tables: Tables,
    rows: Tensor,
    weights: Tensor,
    where: Grid,
    patch_size: int,
    width: int,
) -> Tensor:
    """See ``torch.decoding.coded_bands``."""
    atoms, deviation, offset = tables
    n_layers, n_patches, places = rows.shape
    n_columns = len(where.columns)
    ny, m = n_patches // n_columns, atoms.shape[1]
    lanes = m // patch_size
    made = torch.empty((n_layers, ny, width, lanes), device=rows.device)
    _bands[(n_layers * ny, triton.cdiv(width, _PIXELS))](
        atoms.contiguous(),
        deviation.contiguous(),
        offset.contiguous(),
        rows.contiguous(),
        weights.contiguous(),
        made,
        ny,
        n_columns,
        width,
        where.stride,
        width - patch_size,
        m,
        lanes,
        sparsity=places - 1,
        patch_size=patch_size,
        n_lanes=triton.next_power_of_2(lanes),
        n_pixels=_PIXELS,
        num_warps=_WARPS,
    )
    return made


@triton.jit
def _bands(
    atoms,
    deviation,
    offset,
    rows,
    weights,
    bands,
    ny,
    n_columns,
    width,
    stride,
    last,
    m,
    lanes,
    sparsity: tl.constexpr,
    patch_size: tl.constexpr,
    n_lanes: tl.constexpr,
    n_pixels: tl.constexpr,
):
    band = tl.program_id(0).to(tl.int64)
    layer = band // ny
    x = tl.program_id(1) * n_pixels + tl.arange(0, n_pixels)
    lane = tl.arange(0, n_lanes)[None, :]
    is_lane = lane < lanes
    total = tl.zeros((n_pixels, n_lanes), tl.float32)
    for j in range(patch_size):
        start = x - j
        covers = (start >= 0) & (start <= last) & ((start % stride == 0) | (start == last))
        column = tl.where(start == last, n_columns - 1, start // stride)
        code = (band * n_columns + column) * (sparsity + 1)
        sums = tl.zeros((n_pixels, n_lanes), tl.float32)
        for s in range(sparsity):
            weight = tl.load(weights + code + s, mask=covers, other=0.0)
            row = tl.load(rows + code + s, mask=covers, other=0)
            numbers = tl.load(
                atoms + row[:, None] * m + j * lanes + lane,
                mask=covers[:, None] & is_lane,
                other=0.0,
            )
            sums += weight[:, None] * numbers
        hit = tl.load(weights + code + sparsity, mask=covers, other=0.0)
        part = layer * m + j * lanes + lane
        total += sums * tl.load(deviation + part, mask=is_lane, other=0.0)
        total += hit[:, None] * tl.load(offset + part, mask=is_lane, other=0.0)
    pixel = (band * width + x)[:, None]
    tl.store(bands + pixel * lanes + lane, total, mask=(x < width)[:, None] & is_lane)
