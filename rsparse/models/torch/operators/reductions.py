"""Operators along axes: sums, means, extrema, softmax, cumulative sums, sorting."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from rsparse.models.torch.operators.registry import (
    Number,
    Numbers,
    Tensor,
    axes_of,
    operator,
    single,
)

Reduce = Callable[[Tensor, list[int], bool], Tensor]


def _register(name: str, reduce: Reduce) -> None:
    """Register a function that reduces a tensor along a list of axes, keeping them or not."""

    def reduced(
        x: Tensor, axes: Numbers | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Tensor:
        chosen = [] if axes is None else axes_of(axes, x.dim())
        if x.dim() == 0 or (noop_with_empty_axes and not chosen):
            return reduce(x.unsqueeze(0), [0], False)  # each element alone
        return reduce(x, chosen or list(range(x.dim())), bool(keepdims))

    reduced.__name__ = name
    operator(name)(reduced)


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return torch.sum(x, axes, keep, dtype=x.dtype)


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if x.is_floating_point():
        return torch.mean(x, axes, keep)
    count = math.prod(x.shape[axis] for axis in axes)
    return torch.div(_sum(x, axes, keep), count, rounding_mode="trunc")


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in reversed(axes):
        x = torch.prod(x, axis, keep, dtype=x.dtype)
    return x


def _norm(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    if x.is_floating_point():
        return torch.linalg.vector_norm(x, 2, axes, keep)
    return torch.linalg.vector_norm(x.double(), 2, axes, keep).to(x.dtype)


def _extremum(extremum: Callable[..., Tensor]) -> Reduce:
    def reduce(x: Tensor, axes: list[int], keep: bool) -> Tensor:
        if x.dtype == torch.bool:
            return extremum(x.to(torch.uint8), axes, keep).to(torch.bool)
        return extremum(x, axes, keep)

    return reduce


_register("ReduceSum", _sum)
_register("ReduceMean", _mean)
_register("ReduceProd", _product)
_register("ReduceMax", _extremum(torch.amax))
_register("ReduceMin", _extremum(torch.amin))
_register("ReduceL1", lambda x, axes, keep: _sum(torch.abs(x), axes, keep))
_register("ReduceL2", _norm)
_register("ReduceSumSquare", lambda x, axes, keep: _sum(torch.square(x), axes, keep))
_register("ReduceLogSum", lambda x, axes, keep: torch.log(_sum(x, axes, keep)))
_register("ReduceLogSumExp", torch.logsumexp)


@operator("ArgMax")
def arg_max(
    x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
) -> Tensor:  # fmt: skip
    """The index of the maximum, the first or the last of equals."""
    if not select_last_index:
        return torch.argmax(x, axis, bool(keepdims))
    return x.shape[axis] - 1 - torch.argmax(x.flip(axis), axis, bool(keepdims))


@operator("ArgMin")
def arg_min(
    x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
) -> Tensor:  # fmt: skip
    """The index of the minimum, the first or the last of equals."""
    if not select_last_index:
        return torch.argmin(x, axis, bool(keepdims))
    return x.shape[axis] - 1 - torch.argmin(x.flip(axis), axis, bool(keepdims))


@operator("Softmax")
def softmax(x: Tensor, *, axis: int | None = None, opset: int) -> Tensor:
    """Along one axis; before operator set 13, along that one and all after it."""
    return _normalised(torch.softmax, x, axis, opset)


@operator("LogSoftmax")
def log_softmax(x: Tensor, *, axis: int | None = None, opset: int) -> Tensor:
    """The logarithm of the softmax."""
    return _normalised(torch.log_softmax, x, axis, opset)


def _normalised(
    function: Callable[[Tensor, int], Tensor], x: Tensor, axis: int | None, opset: int
) -> Tensor:
    if opset >= 13:
        return function(x, -1 if axis is None else axis)
    first = (1 if axis is None else axis) % x.dim()
    return function(x.flatten(first), -1).reshape(x.shape)


@operator("CumSum")
def cumulative_sum(x: Tensor, axis: Number, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """Sum of the elements so far; ``exclusive`` leaves out the element itself."""
    place = int(single(axis))
    x = x.flip(place) if reverse else x
    sums = torch.cumsum(x, place, dtype=x.dtype)
    sums = sums - x if exclusive else sums
    return sums.flip(place) if reverse else sums


@operator("TopK", ignores=["sorted"])
def top_k(x: Tensor, k: Number, *, axis: int = -1, largest: int = 1) -> tuple[Tensor, Tensor]:
    """The largest or smallest elements along an axis, and their indices."""
    values, indices = torch.sort(x, dim=axis, descending=bool(largest), stable=True)
    return values.narrow(axis, 0, int(single(k))), indices.narrow(axis, 0, int(single(k)))


@operator("LpNormalization")
def lp_normalization(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """Divide by the norm along an axis; a norm of 0 leaves the zeros."""
    norm = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return x / torch.where(norm == 0, 1, norm)


@operator("MeanVarianceNormalization")
def mean_variance_normalization(x: Tensor, *, axes: list[int] | None = None) -> Tensor:
    """Subtract the mean and divide by the standard deviation."""
    chosen = [0, 2, 3] if axes is None else list(axes)
    centred = x - x.mean(chosen, keepdim=True)
    return centred / (torch.sqrt(centred.square().mean(chosen, keepdim=True)) + 1e-9)
