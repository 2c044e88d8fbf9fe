"""Operators that pool: means, maxima and norms of windows, or of whole images."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import torch
from torch.nn import functional

from rsparse.models.torch.operators.registry import Function, Tensor, operator
from rsparse.models.torch.operators.windows import Sizes, Window, find_window

_AVERAGE = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
_MAXIMUM = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def pooling(name: str, ignores: Iterable[str] = ()) -> Callable[[Function], Function]:
    """Register a function that pools windows, as an operator with the attributes of windows.

    The function takes the features, the window, and whether a last window may stick out; its
    keyword-only parameters are further attributes.
    """

    def register(pool: Function) -> Function:
        @wraps(pool)
        def pooled(
            x: Tensor,
            *,
            kernel_shape: Sizes,
            auto_pad: str = "NOTSET",
            ceil_mode: int = 0,
            dilations: Sizes | None = None,
            pads: Sizes | None = None,
            strides: Sizes | None = None,
            **others: Any,
        ) -> Tensor:
            window = find_window(
                x.shape[2:], kernel_shape, strides=strides, dilations=dilations, pads=pads,
                auto_pad=auto_pad,
            )  # fmt: skip
            result: Tensor = pool(x, window, bool(ceil_mode), **others)
            return result

        own = inspect.signature(pool).parameters.values()
        shared = inspect.signature(pooled, follow_wrapped=False)
        parameters = [
            *list(shared.parameters.values())[:-1],
            *(p for p in own if p.kind is p.KEYWORD_ONLY),
        ]
        pooled.__signature__ = shared.replace(parameters=parameters)  # type: ignore[attr-defined]
        operator(name, ignores=ignores)(pooled)
        return pooled

    return register


@pooling("AveragePool")
def average_pool(
    x: Tensor, window: Window, ceil_mode: bool, *, count_include_pad: int = 0
) -> Tensor:
    """Means of windows; the padding counts if ``count_include_pad`` is set."""
    if _torch_can(window) and set(window.dilations) == {1}:
        pool = _AVERAGE[len(window.kernel)]
        result: Tensor = pool(
            x, window.kernel, window.strides, window.before, ceil_mode, bool(count_include_pad)
        )
        return result
    more = window.missing(x.shape[2:]) if ceil_mode else None
    counted = window.padded(torch.ones_like(x[:1, :1]), float(bool(count_include_pad)))
    return _sums(window.padded(x), window, more) / _sums(counted, window, more)


@pooling("LpPool")
def lp_pool(x: Tensor, window: Window, ceil_mode: bool, *, p: int = 2) -> Tensor:
    """Norms of windows."""
    more = window.missing(x.shape[2:]) if ceil_mode else None
    return _sums(window.padded(x.abs().pow(p)), window, more).pow(1 / p)


@pooling("MaxPool", ignores=["storage_order"])
def max_pool(x: Tensor, window: Window, ceil_mode: bool) -> Tensor:
    """Maxima of windows."""
    pool: Callable[..., Tensor] = _MAXIMUM[len(window.kernel)]
    padding = window.before
    if not _torch_can(window):
        lowest = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
        more = window.missing(x.shape[2:]) if ceil_mode else None
        x, padding = window.padded(x, lowest, more), (0,) * len(window.kernel)
        ceil_mode = False
    return pool(x, window.kernel, window.strides, padding, window.dilations, ceil_mode)


@operator("GlobalAveragePool")
def global_average_pool(x: Tensor) -> Tensor:
    """Means of whole feature maps."""
    return torch.mean(x, _spatial(x), keepdim=True)


@operator("GlobalMaxPool")
def global_max_pool(x: Tensor) -> Tensor:
    """Maxima of whole feature maps."""
    return torch.amax(x, _spatial(x), keepdim=True)


@operator("GlobalLpPool")
def global_lp_pool(x: Tensor, *, p: int = 2) -> Tensor:
    """Norms of whole feature maps."""
    return torch.linalg.vector_norm(x, p, _spatial(x), keepdim=True)


def _spatial(x: Tensor) -> list[int]:
    return list(range(2, x.dim()))


def _torch_can(window: Window) -> bool:
    """Whether torch's own functions take this padding: the same on both sides, and small."""
    small = all(2 * pad <= size for pad, size in zip(window.before, window.kernel, strict=True))
    return window.is_symmetric and small


def _sums(x: Tensor, window: Window, more: Sizes | None) -> Tensor:
    """Sums of windows over padded features, and ``more`` zeros after them."""
    if more is not None:
        x = functional.pad(x, [n for extra in reversed(more) for n in (0, extra)])
    ones = torch.ones(1, 1, *window.kernel, dtype=x.dtype, device=x.device)
    convolve = _CONVOLVE[len(window.kernel)]
    sums: Tensor = convolve(
        x.reshape(-1, 1, *x.shape[2:]), ones, None, window.strides, 0, window.dilations
    )
    return sums.reshape(*x.shape[:2], *sums.shape[2:])
