"""Operators that rearrange elements: shapes, axes, joining, repeating, padding."""

from __future__ import annotations

import torch
from torch.nn import functional

from rsparse.models.torch.operators.registry import (
    Number,
    Numbers,
    Pair,
    Tensor,
    listed,
    operator,
    single,
)


@operator("Shape")
def shape_of(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    """The sizes of a tensor, on the CPU."""
    return torch.tensor(x.shape[start:end], dtype=torch.int64)


@operator("Size")
def size_of(x: Tensor) -> Tensor:
    """The number of elements, on the CPU."""
    return torch.tensor(x.numel())


@operator("Reshape")
def reshape(x: Tensor, shape: Numbers, *, allowzero: int = 0) -> Tensor:
    """A size of 0 keeps the input's, unless ``allowzero`` is set."""
    sizes = [int(size) for size in listed(shape)]
    if not allowzero:
        sizes = [x.shape[place] if size == 0 else size for place, size in enumerate(sizes)]
    return x.reshape(sizes)


@operator("Flatten")
def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    """A matrix: the axes before ``axis``, and those from it on."""
    if axis == 1 and x.dim() > 1:
        return torch.flatten(x, 1)
    rows = x.shape[: axis if axis >= 0 else axis + x.dim()].numel()
    return x.reshape(rows, -1 if x.numel() else x.numel() // max(rows, 1))


@operator("Squeeze")
def squeeze(x: Tensor, axes: Numbers | None = None) -> Tensor:
    """Drop axes of size 1: those given, or all."""
    if axes is None:
        return x.squeeze()
    return x.squeeze(tuple(int(axis) for axis in listed(axes)))


@operator("Unsqueeze")
def unsqueeze(x: Tensor, axes: Numbers) -> Tensor:
    """Insert axes of size 1, at places in the result."""
    chosen = [int(axis) for axis in listed(axes)]
    for axis in sorted(axis % (x.dim() + len(chosen)) for axis in chosen):
        x = x.unsqueeze(axis)
    return x


@operator("Transpose")
def transpose(x: Tensor, *, perm: list[int] | None = None) -> Tensor:
    """Permute the axes; reverse them by default."""
    return x.permute(list(range(x.dim()))[::-1] if perm is None else list(perm))


@operator("Concat")
def concat(*xs: Tensor, axis: int) -> Tensor:
    """Join along an axis."""
    return torch.cat(xs, axis)


@operator("Expand")
def expand(x: Tensor, shape: Numbers) -> Tensor:
    """Broadcast with a shape, in both directions."""
    return x.expand(torch.broadcast_shapes(x.shape, [int(size) for size in listed(shape)]))


@operator("Tile")
def tile(x: Tensor, repeats: Numbers) -> Tensor:
    """Repeat along each axis."""
    return x.repeat([int(times) for times in listed(repeats)])


@operator("ConstantOfShape")
def constant_of_shape(shape: Numbers, *, value: Pair = (0.0, torch.float32)) -> Tensor:
    """A tensor of one number, on the CPU."""
    number, dtype = value
    return torch.full([int(size) for size in listed(shape)], number, dtype=dtype)


@operator("Range")
def span(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """Numbers from ``start`` to below ``limit``."""
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


@operator("EyeLike")
def eye_like(x: Tensor, *, k: int = 0, dtype: int | None = None) -> Tensor:
    """Ones on a diagonal."""
    from rsparse.models.torch.operators.pointwise import cast

    ones = torch.ones_like(x, dtype=torch.float32)
    eye = ones.triu(k).tril(k)
    return eye.to(x.dtype) if dtype is None else cast(eye, to=dtype)


@operator("Trilu")
def triangle(x: Tensor, k: Number = 0, *, upper: int = 1) -> Tensor:
    """The upper or lower triangle of matrices, 0 elsewhere."""
    diagonal = int(single(k))
    return torch.triu(x, diagonal) if upper else torch.tril(x, diagonal)


@operator("DepthToSpace")
def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """Spread channels over blocks of pixels."""
    n, c, h, w = x.shape
    b, depth = blocksize, c // blocksize**2
    if mode == "DCR":
        x = x.reshape(n, b, b, depth, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        x = x.reshape(n, depth, b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(n, depth, h * b, w * b)


@operator("SpaceToDepth")
def space_to_depth(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """Gather blocks of pixels in channels."""
    n, c, h, w = x.shape
    b = blocksize
    x = x.reshape(n, c, h // b, b, w // b, b)
    x = x.permute(0, 3, 5, 1, 2, 4) if mode == "DCR" else x.permute(0, 1, 3, 5, 2, 4)
    return x.reshape(n, c * b * b, h // b, w // b)


@operator("Pad")
def pad(
    x: Tensor,
    pads: Numbers,
    value: Number | None = None,
    axes: Numbers | None = None,
    *,
    mode: str = "constant",
) -> Tensor:
    """Pad before and after each axis; negative numbers crop."""
    numbers = [int(n) for n in listed(pads)]
    half = len(numbers) // 2
    chosen = range(x.dim()) if axes is None else [int(axis) % x.dim() for axis in listed(axes)]
    sides = {axis: (numbers[i], numbers[half + i]) for i, axis in enumerate(chosen)}
    if mode == "constant":
        flat = [n for axis in reversed(range(x.dim())) for n in sides.get(axis, (0, 0))]
        return functional.pad(x, flat, value=0 if value is None else single(value))
    for axis, (before, after) in sides.items():
        if before or after:
            places = torch.arange(-before, x.shape[axis] + after, device=x.device)
            x = x.index_select(axis, _inside(places, x.shape[axis], mode))
    return x


def _inside(places: Tensor, size: int, mode: str) -> Tensor:
    """The places in an axis that stand in for those outside."""
    if mode == "edge":
        return places.clamp(0, size - 1)
    if mode == "wrap":
        return places % size
    if mode != "reflect":
        raise NotImplementedError(f"mode {mode!r}")
    period = max(2 * (size - 1), 1)
    places = places % period
    return torch.minimum(places, period - places)
