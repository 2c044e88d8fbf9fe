"""Measure how well a score tells two kinds of images apart."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from rsparse.core.metrics import Estimate

Floats = NDArray[np.float64]


def area_under_roc(clean: Floats, attacked: Floats) -> Estimate:
    """The probability that an attacked image has a larger score than a clean one.

    Parameters
    ----------
    clean, attacked : float arrays of shape (m,) and (n,)
        Scores; equal ones count one half.

    Returns
    -------
    Estimate
        The area under the ROC curve with its 95 % interval; NaN with (0, 1) if either is empty.

    Notes
    -----
    The interval is method 5 of Newcombe, "Confidence intervals for an effect size measure based on
    the Mann-Whitney statistic" (2006): like Wilson's it solves for the values of the area that the
    estimate does not contradict. Unlike the usual ones it has a width where all images are told
    apart.
    """
    m, n = len(clean), len(attacked)
    if not m or not n:
        return Estimate(math.nan, 0.0, 1.0)
    ordered = np.sort(np.asarray(clean, dtype=np.float64))
    below = np.searchsorted(ordered, attacked, side="left")
    not_above = np.searchsorted(ordered, attacked, side="right")
    area = float((below + not_above).sum()) / (2 * m * n)
    return Estimate(area, _end(area, m, n, 0.0), _end(area, m, n, 1.0))


def _end(area: float, m: int, n: int, end: float) -> float:
    """The end of the interval between ``area`` and ``end``, by bisection."""
    z = NormalDist().inv_cdf(0.975)
    inside, outside = area, end
    for _ in range(60):
        middle = (inside + outside) / 2
        if abs(area - middle) <= z * math.sqrt(_variance(middle, m, n)):
            inside = middle
        else:
            outside = middle
    return outside if abs(outside - end) < 1e-12 else inside


def _variance(area: float, m: int, n: int) -> float:
    """Hanley and McNeil's variance (1982) for exponential scores, with Newcombe's mean size."""
    more = (m + n) / 2 - 1
    spread = (1 - area) / (2 - area) + area / (1 + area)
    return area * (1 - area) * (1 + more * spread) / (m * n)


def roc_curve(clean: Floats, attacked: Floats) -> tuple[Floats, Floats]:
    """The shares of clean and of attacked images whose score is at least a threshold.

    Parameters
    ----------
    clean, attacked : float arrays of shape (m,) and (n,)
        Neither is empty.

    Returns
    -------
    false_alarms, found : float arrays of shape (t,)
        From (0, 0) to (1, 1), one point for each different score, largest first.
    """
    thresholds = np.unique(np.concatenate([clean, attacked]))[::-1]
    shares = [
        1 - np.searchsorted(np.sort(scores), thresholds, side="left") / len(scores)
        for scores in (clean, attacked)
    ]
    false_alarms, found = (np.concatenate([[0.0], share]) for share in shares)
    return false_alarms, found
