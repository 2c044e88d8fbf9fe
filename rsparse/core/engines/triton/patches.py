"""Extract patches in one kernel (Triton); each row of a patch is contiguous in memory."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from rsparse.core.engines.torch.grids import Grid

_PATCHES, _WARPS = 32, 4


def take(x: Tensor, places: Tensor, where: Grid, patch_size: int) -> Tensor:
    """See ``torch.patches.take``."""
    height, width, c = x.shape
    lanes = patch_size * c
    patches = torch.empty((len(places), patch_size * lanes), device=x.device)
    _take[(triton.cdiv(len(places), _PATCHES),)](
        x,
        places,
        patches,
        len(places),
        width * c,
        c,
        len(where.columns),
        where.stride,
        height - patch_size,
        width - patch_size,
        lanes,
        patch_size=patch_size,
        n_lanes=triton.next_power_of_2(lanes),
        n_patches=_PATCHES,
        num_warps=_WARPS,
    )
    return patches


@triton.jit
def _take(
    x,
    places,
    patches,
    n,
    line,
    channels,
    n_columns,
    stride,
    last_row,
    last_column,
    lanes,
    patch_size: tl.constexpr,
    n_lanes: tl.constexpr,
    n_patches: tl.constexpr,
):
    patch = tl.program_id(0).to(tl.int64) * n_patches + tl.arange(0, n_patches)
    exists = patch < n
    lane = tl.arange(0, n_lanes)[None, :]
    kept = exists[:, None] & (lane < lanes)
    place = tl.load(places + patch, mask=exists, other=0)
    row = tl.minimum(place // n_columns * stride, last_row)
    column = tl.minimum(place % n_columns * stride, last_column)
    begin = (row * line + column * channels)[:, None]
    for i in range(patch_size):
        numbers = tl.load(x + begin + i * line + lane, mask=kept, other=0.0)
        tl.store(patches + (patch[:, None] * patch_size + i) * lanes + lane, numbers, mask=kept)
