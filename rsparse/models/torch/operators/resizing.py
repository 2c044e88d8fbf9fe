"""Operators that resize: each axis by itself, as a choice of places or as a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from rsparse.models.torch.operators.registry import Numbers, Tensor, listed, operator

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interpolation:
    """How values between pixels are found; the names are those of the operator Resize."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False


@operator("Upsample")
def upsample(x: Tensor, scales: Numbers, *, mode: str = "nearest") -> Tensor:
    """The older Resize: pixels are counted from their corners."""
    how = Interpolation(mode.replace("bilinear", "linear"), "asymmetric", "floor")
    factors = [float(s) for s in listed(scales)]
    for axis, scale in enumerate(factors):
        x = _resized(x, axis, int(x.shape[axis] * scale), scale, how, (0.0, 1.0))
    return x


@operator("Resize")
def resize(
    x: Tensor,
    roi: Numbers | None = None,
    scales: Numbers | None = None,
    sizes: Numbers | None = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
    opset: int,
) -> Tensor:
    """Resize by factors or to sizes. Operator set 10 has the factors as the second input."""
    if opset < 11:
        assert roi is not None
        return upsample(x, roi, mode=mode)
    how = Interpolation(
        mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a, bool(antialias),
        bool(exclude_outside),
    )  # fmt: skip
    chosen = list(range(x.dim())) if axes is None else [axis % x.dim() for axis in axes]
    old = [x.shape[axis] for axis in chosen]
    factors = [] if scales is None else [float(s) for s in listed(scales)]
    if factors:
        new = [math.floor(size * scale) for size, scale in zip(old, factors, strict=True)]
    else:
        assert sizes is not None
        new = [int(size) for size in listed(sizes)]
        factors = [to / size for to, size in zip(new, old, strict=True)]
        if keep_aspect_ratio_policy != "stretch":
            pick = min if keep_aspect_ratio_policy == "not_larger" else max
            factors = [pick(factors)] * len(old)
            new = [int(size * factors[0] + 0.5) for size in old]
    ends = [float(n) for n in listed(roi)] if roi is not None else []
    outside = []
    for place, (axis, size, scale) in enumerate(zip(chosen, new, factors, strict=True)):
        part = (0.0, 1.0)
        if how.coordinates == "tf_crop_and_resize":
            part = ends[place], ends[len(chosen) + place]
            places = source_places(x.shape[axis], size, scale, how.coordinates, part)
            outside.append((axis, (places < 0) | (places > x.shape[axis] - 1)))
        x = _resized(x, axis, size, scale, how, part)
    for axis, beyond in outside:
        shape = [-1 if one == axis else 1 for one in range(x.dim())]
        x = x.masked_fill(torch.from_numpy(beyond).to(x.device).reshape(shape), extrapolation_value)
    return x


def _resized(
    x: Tensor, axis: int, size: int, scale: float, how: Interpolation, part: tuple[float, float]
) -> Tensor:
    """Resize one axis."""
    old = x.shape[axis]
    if size == old and scale == 1 and part == (0.0, 1.0):
        return x
    if how.mode == "nearest":
        places = nearest_places(old, size, scale, how, part)
        return x.index_select(axis, torch.from_numpy(places).to(x.device))
    matrix = torch.from_numpy(interpolation_matrix(old, size, scale, how, part)).to(x)
    return (x.movedim(axis, -1) @ matrix.T).movedim(-1, axis)


def source_places(
    old: int, new: int, scale: float, coordinates: str, part: tuple[float, float] = (0.0, 1.0)
) -> Floats:
    """Where each new pixel lies among the old ones, which are at 0, 1, 2, ….

    Parameters
    ----------
    old, new : int
        Sizes of the axis.
    scale : float
        Their ratio, which need not be exact.
    coordinates : str
        ``coordinate_transformation_mode`` of the operator Resize.
    part : (float, float)
        For ``tf_crop_and_resize``: the part of the axis that is resized.
    """
    x, width = np.arange(new, dtype=np.float64), scale * old
    if coordinates == "asymmetric":
        return x / scale
    if coordinates == "align_corners":
        return x * (old - 1) / (width - 1) if width != 1 else np.zeros(new)
    if coordinates == "tf_crop_and_resize":
        start, stop = part
        if width == 1:
            return np.full(new, (start + stop) * (old - 1) / 2)
        return start * (old - 1) + x * (stop - start) * (old - 1) / (width - 1)
    if coordinates == "pytorch_half_pixel" and new == 1:
        return np.full(new, -0.5)
    if coordinates == "half_pixel_symmetric":
        return old / 2 * (1 - new / width) + (x + 0.5) / scale - 0.5
    if coordinates in ("half_pixel", "pytorch_half_pixel"):
        return (x + 0.5) / scale - 0.5
    raise NotImplementedError(f"coordinate_transformation_mode {coordinates!r}")


def nearest_places(
    old: int, new: int, scale: float, how: Interpolation, part: tuple[float, float] = (0.0, 1.0)
) -> NDArray[np.int64]:
    """The old pixel that each new one copies."""
    places = source_places(old, new, scale, how.coordinates, part)
    if how.nearest == "round_prefer_floor":
        places = np.ceil(places - 0.5)
    elif how.nearest == "round_prefer_ceil":
        places = np.floor(places + 0.5)
    else:
        places = np.floor(places) if how.nearest == "floor" else np.ceil(places)
    return np.clip(places, 0, old - 1).astype(np.int64)


@lru_cache(maxsize=64)
def interpolation_matrix(
    old: int, new: int, scale: float, how: Interpolation, part: tuple[float, float] = (0.0, 1.0)
) -> Floats:
    """The weights (new, old) of the old pixels in the new ones.

    Pixels outside count as copies of the outermost, or not at all with ``exclude_outside``. With
    ``antialias`` a smaller image takes a wider part of the larger one.
    """
    places = source_places(old, new, scale, how.coordinates, part)
    shrunk = min(scale, 1.0) if how.antialias else 1.0
    radius = math.ceil((2 if how.mode == "cubic" else 1) / shrunk)
    neighbours = np.floor(places)[:, None] + np.arange(1 - radius, radius + 1)
    weights = _kernel((neighbours - places[:, None]) * shrunk, how)
    if how.exclude_outside:
        weights = np.where((neighbours < 0) | (neighbours >= old), 0, weights)
    if how.exclude_outside or how.antialias:
        weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((new, old))
    rows = np.broadcast_to(np.arange(new)[:, None], neighbours.shape)
    np.add.at(matrix, (rows, np.clip(neighbours, 0, old - 1).astype(int)), weights)
    return matrix


def _kernel(x: Floats, how: Interpolation) -> Floats:
    """The weight of a pixel at a distance."""
    x = np.abs(x)
    if how.mode == "linear":
        return np.clip(1 - x, 0, None)
    if how.mode != "cubic":
        raise NotImplementedError(f"mode {how.mode!r}")
    a = how.cubic
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))
