"""The bilateral filter in one kernel (Triton), which reads a pixel's neighbours from a cache."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_PIXELS, _WARPS = 256, 4


def bilateral(images: Tensor, diameter: int, sigma_color: float, sigma_space: float) -> Tensor:
    """See ``torch.filters.bilateral``; for colour images (n, 3, h, w)."""
    images = images.contiguous()
    n, _, height, width = images.shape
    filtered = torch.empty_like(images)
    _bilateral[(n, triton.cdiv(height * width, _PIXELS))](
        images,
        filtered,
        height,
        width,
        -0.5 / sigma_color**2,
        -0.5 / sigma_space**2,
        radius=max(diameter // 2, 1),
        n_pixels=_PIXELS,
        num_warps=_WARPS,
    )
    return filtered


@triton.jit
def _bilateral(
    images, filtered, height, width, color, space, radius: tl.constexpr, n_pixels: tl.constexpr
):
    plane = height * width
    first = tl.program_id(0).to(tl.int64) * 3 * plane
    pixel = tl.program_id(1) * n_pixels + tl.arange(0, n_pixels)
    exists = pixel < plane
    y, x = pixel // width, pixel % width
    down, along = tl.maximum(2 * (height - 1), 1), tl.maximum(2 * (width - 1), 1)
    here = images + first + pixel
    red = tl.load(here, mask=exists, other=0.0)
    green = tl.load(here + plane, mask=exists, other=0.0)
    blue = tl.load(here + 2 * plane, mask=exists, other=0.0)
    weights = tl.zeros((n_pixels,), tl.float32)
    reds, greens, blues = weights, weights, weights
    for i in range(-radius, radius + 1):
        row = tl.abs(y + i) % down  # mirrored at the border
        row = tl.minimum(row, down - row) * width
        for j in range(-radius, radius + 1):
            squared = i * i + j * j
            if squared <= radius * radius:
                column = tl.abs(x + j) % along
                there = images + first + row + tl.minimum(column, along - column)
                r = tl.load(there, mask=exists, other=0.0)
                g = tl.load(there + plane, mask=exists, other=0.0)
                b = tl.load(there + 2 * plane, mask=exists, other=0.0)
                distance = tl.abs(r - red) + tl.abs(g - green) + tl.abs(b - blue)
                weight = tl.exp(space * squared + color * distance * distance)
                weights += weight
                reds += weight * r
                greens += weight * g
                blues += weight * b
    clean = filtered + first + pixel
    tl.store(clean, _whole(reds / weights), mask=exists)
    tl.store(clean + plane, _whole(greens / weights), mask=exists)
    tl.store(clean + 2 * plane, _whole(blues / weights), mask=exists)


@triton.jit
def _whole(level):
    return tl.floor(level + 0.5)
