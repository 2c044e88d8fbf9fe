"""NumPy arrays and torch tensors of signals: what they are, and results of the same kind."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsparse.core.tensors import is_tensor
from rsparse.errors import InputError

_BLOCK = 1 << 22
"""Numbers that are checked together."""


@dataclass(frozen=True)
class Rows:
    """Rows of finite numbers in the type in which they are computed.

    Attributes
    ----------
    rows : NumPy array or tensor of shape (n, m)
        float32 or float64.
    kind : dtype
        The type of a result: the rows' own floating type, and float64 for whole numbers.
    largest : float
        The largest magnitude.
    """

    rows: Any
    kind: Any
    largest: float

    @property
    def device(self) -> str | None:
        """Torch's name of the device of a tensor; None for an array."""
        return str(self.rows.device) if is_tensor(self.rows) else None

    def as_numpy(self) -> Any:
        """The rows as a NumPy array, on the CPU without a copy."""
        return self.rows.cpu().numpy() if is_tensor(self.rows) else self.rows


def as_rows(name: str, value: Any, *, single: bool = False) -> Rows:
    """Read rows of numbers.

    Parameters
    ----------
    name : str
        What the errors call them.
    value : array-like or tensor of shape (n, m)
    single : bool
        Also accept shape (m,), as one row.

    Raises
    ------
    InputError
        If it has another shape, is empty along its rows, or has numbers that are not finite real
        numbers.
    """
    rows = _numbers(name, value)
    if single and rows.ndim == 1:
        rows = rows[None]
    if rows.ndim != 2 or rows.shape[1] == 0:
        shapes = "(n, m) or (m,)" if single else "(k, m)"
        raise InputError(f"{name}: expected an array of shape {shapes}, got {tuple(rows.shape)}")
    kind = rows.dtype
    if is_tensor(rows):
        import torch

        kind = kind if kind.is_floating_point else torch.float64
        rows = rows.detach().to(torch.float64 if kind == torch.float64 else torch.float32)
        rows = rows.contiguous()
    else:
        kind = kind if kind.kind == "f" and kind.itemsize <= 8 else np.dtype(np.float64)
        rows = np.ascontiguousarray(rows, np.float32 if kind.itemsize <= 4 else np.float64)
    return Rows(rows, kind, _largest(name, rows))


def _numbers(name: str, value: Any) -> Any:
    if is_tensor(value):
        if value.is_complex() or value.layout != _torch().strided:
            raise InputError(f"{name}: expected a dense tensor of real numbers")
        return value
    if hasattr(value, "toarray"):
        raise InputError(f"{name}: expected a dense array, got a sparse one; use .toarray()")
    try:
        array = np.asarray(value)
        usable = array.dtype.kind in "fiub"
    except ValueError:  # rows of different lengths
        usable = False
    if not usable:
        raise InputError(f"{name}: expected an array of real numbers")
    return array


def _torch() -> Any:
    return sys.modules["torch"]


def _largest(name: str, rows: Any) -> float:
    """The largest magnitude, 0 without any; refuses numbers that are not finite."""
    largest, size = 0.0, max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        low, high = float(block.min()), float(block.max())  # both are NaN if a number is
        if not (math.isfinite(low) and math.isfinite(high)):
            raise InputError(f"{name}: contains numbers that are not finite")
        largest = max(largest, high, -low)
    return largest
