"""Operators that pick elements by their places: slices, gathering, scattering, masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from rsparse.models.torch.operators.registry import (
    Index,
    Number,
    Numbers,
    Tensor,
    listed,
    operator,
    single,
)

_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@operator("Slice")
def slices(
    x: Tensor,
    starts: Numbers,
    ends: Numbers,
    axes: Numbers | None = None,
    steps: Numbers | None = None,
) -> Tensor:
    """Slices as in Python, of several axes; steps may be negative."""
    first, last = listed(starts), listed(ends)
    chosen = range(len(first)) if axes is None else listed(axes)
    strides = [1] * len(first) if steps is None else listed(steps)
    for axis, start, end, step in zip(chosen, first, last, strides, strict=True):
        places = range(x.shape[axis])[slice(int(start), int(end), int(step))]
        if step > 0:
            before = (slice(None),) * (axis % x.dim())
            x = x[(*before, slice(places.start, max(places.stop, places.start), step))]
        else:
            x = x.index_select(axis, torch.tensor(list(places), device=x.device).long())
    return x


@operator("Split")
def split(
    x: Tensor,
    split: Numbers | None = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    n_outputs: int,
) -> tuple[Tensor, ...]:
    """Parts of the sizes given; otherwise equal ones, of which the last may be smaller."""
    if split is not None:
        return torch.split(x, [int(size) for size in listed(split)], axis)
    parts = num_outputs or n_outputs
    size = -(-x.shape[axis] // parts)
    return torch.split(x, size, axis)


@operator("Gather")
def gather(x: Tensor, indices: Index, *, axis: int = 0) -> Tensor:
    """Pick whole slices along an axis."""
    if isinstance(indices, int):
        return x.select(axis, indices)
    axis %= x.dim()
    places = _from_zero(indices, x.shape[axis])
    picked = x.index_select(axis, places.reshape(-1))
    return picked.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@operator("GatherElements")
def gather_elements(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Pick elements along an axis."""
    return torch.gather(x, axis, _from_zero(indices, x.shape[axis]))


@operator("GatherND")
def gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    """Pick slices by their places in several axes."""
    batch, rest = x.shape[:batch_dims], indices.shape[batch_dims:]
    flat = x.reshape(-1, *x.shape[batch_dims:])
    places = indices.reshape(len(flat), -1, rest[-1]).long()
    first = torch.arange(len(flat), device=x.device)[:, None].expand(places.shape[:2])
    picked = flat[(first, *places.unbind(-1))]
    return picked.reshape(*batch, *rest[:-1], *x.shape[batch_dims + rest[-1] :])


@operator("Scatter", "ScatterElements")
def scatter_elements(
    x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none"
) -> Tensor:
    """Replace elements along an axis, or combine them with new ones."""
    places = _from_zero(indices, x.shape[axis])
    if reduction == "none":
        return x.scatter(axis, places, updates)
    return x.scatter_reduce(axis, places, updates, _REDUCTIONS[reduction])


@operator("ScatterND")
def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    """Replace slices by their places in several axes, or combine them with new ones."""
    depth = indices.shape[-1]
    sizes = x.shape[:depth]
    strides = [sizes[place + 1 :].numel() for place in range(depth)]
    index = sum(
        _from_zero(one, size) * stride
        for one, size, stride in zip(indices.unbind(-1), sizes, strides, strict=True)
    )
    assert isinstance(index, Tensor)
    flat, rows = x.reshape(sizes.numel(), -1), index.reshape(-1)
    new = updates.reshape(len(rows), -1)
    if reduction == "none":
        return flat.index_copy(0, rows, new).reshape(x.shape)
    spread = rows[:, None].expand(new.shape)
    return flat.scatter_reduce(0, spread, new, _REDUCTIONS[reduction]).reshape(x.shape)


@operator("OneHot")
def one_hot(indices: Tensor, depth: Number, values: Tensor, *, axis: int = -1) -> Tensor:
    """The second of two values where an index is, the first elsewhere."""
    size = int(single(depth))
    places = torch.arange(size, device=indices.device)
    inside = (indices >= -size) & (indices < size)
    hot = (_from_zero(indices, size).unsqueeze(-1) == places) & inside.unsqueeze(-1)
    return torch.where(hot, values[1], values[0]).movedim(-1, axis)


@operator("NonZero")
def non_zero(x: Tensor) -> Tensor:
    """The places of what is not 0, one column for each."""
    return torch.nonzero(x).T


@operator("Compress")
def compress(x: Tensor, condition: Tensor, *, axis: int | None = None) -> Tensor:
    """Pick the slices for which a condition holds."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    return x.index_select(axis, torch.nonzero(condition.reshape(-1))[:, 0])


@operator("ReverseSequence")
def reverse_sequence(
    x: Tensor, lengths: Numbers, *, batch_axis: int = 1, time_axis: int = 0
) -> Tensor:
    """Reverse the first elements of each sequence."""
    parts = x.unbind(batch_axis)
    axis = time_axis - (time_axis > batch_axis)
    turned = [
        torch.cat([part.narrow(axis, 0, n).flip(axis), part.narrow(axis, n, size - n)], axis)
        for part, n, size in zip(
            parts, map(int, listed(lengths)), [x.shape[time_axis]] * len(parts), strict=True
        )
    ]
    return torch.stack(turned, batch_axis)


@operator("SequenceConstruct")
def sequence(*xs: Tensor) -> Sequence[Tensor]:
    """A list of tensors."""
    return list(xs)


@operator("SplitToSequence")
def split_to_sequence(
    x: Tensor, split: Index | None = None, *, axis: int = 0, keepdims: int = 1
) -> Sequence[Tensor]:
    """A list of parts: of one size, of given sizes, or single slices."""
    if split is None:
        parts = torch.split(x, 1, axis)
        return parts if keepdims else [part.squeeze(axis) for part in parts]
    if isinstance(split, Tensor) and split.dim():
        return torch.split(x, [int(size) for size in split.tolist()], axis)
    return torch.split(x, int(single(split)), axis)


@operator("SequenceAt")
def sequence_at(xs: Sequence[Tensor], place: Number) -> Tensor:
    """One tensor of a list."""
    return xs[int(single(place))]


@operator("SequenceLength")
def sequence_length(xs: Sequence[Tensor]) -> Tensor:
    """The number of tensors in a list."""
    return torch.tensor(len(xs))


@operator("ConcatFromSequence")
def concat_from_sequence(xs: Sequence[Tensor], *, axis: int, new_axis: int = 0) -> Tensor:
    """Join the tensors of a list."""
    return torch.stack(list(xs), axis) if new_axis else torch.cat(list(xs), axis)


@operator("GridSample")
def grid_sample(
    x: Tensor,
    grid: Tensor,
    *,
    mode: str = "linear",
    padding_mode: str = "zeros",
    align_corners: int = 0,
) -> Tensor:
    """Interpolate at given places."""
    names = {"linear": "bilinear", "cubic": "bicubic"}
    return functional.grid_sample(
        x, grid, names.get(mode, mode), padding_mode, bool(align_corners)
    )  # fmt: skip


def _from_zero(indices: Tensor, size: int) -> Tensor:
    """Indices that count from the end, counted from the start instead."""
    indices = indices.long()
    return torch.where(indices < 0, indices + size, indices)
