"""Axes that start where the numbers do, and say so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

_ROOM = 0.06  # of the range, above and below the numbers
_FROM_ZERO = 0.5  # an axis starts at 0 if the smallest number is below this share of the largest


def fit_axis(axes: Any, values: Iterable[float], *, top: float = np.inf) -> str:
    """Fit the y axis of an axes to numbers that are not negative.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    values : iterable of float
        All numbers that are drawn, with the ends of their intervals; NaN is left out.
    top : float
        The largest number that is possible.

    Returns
    -------
    str
        A note for the axis's label; empty if the axis starts at 0.
    """
    known = np.array([value for value in values if np.isfinite(value)] or [0.0, 1.0])
    low, high = float(known.min()), float(known.max())
    start = 0.0 if low < _FROM_ZERO * high else low
    room = _ROOM * ((high - start) or abs(high) or 1.0)
    start = _rounded_down(start - room) if start > room else 0.0
    axes.set_ylim(start - room / 4 * (not start), min(high + room, top + room / 4))
    return f"axis from {start:g}" if start else ""


def _rounded_down(value: float) -> float:
    """Round to two digits, so that the label names the start exactly."""
    digit = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{np.floor(value / digit + 1e-9) * digit:.2g}")
