"""Numbers with their intervals, and their formatting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsparse.core.metrics import Estimate, wilson_interval
from rsparse.evaluation.results import Column, Evaluation, JudgedDefense
from rsparse.evaluation.statistics import tried_behind

Floats = NDArray[np.float64]


def per_image(evaluation: Evaluation, defense: JudgedDefense, columns: Sequence[Column]) -> Floats:
    """The share of attacks under which each image is classified correctly, (n,).

    Only columns that were tried behind the defense count. NaN if there are none.
    """
    tried = tried_behind(evaluation, defense, columns)
    if not tried:
        return np.full(len(evaluation.names), np.nan)
    return np.mean([evaluation.correct(column, defense) for column in tried], axis=0)


def mean_share(
    evaluation: Evaluation, defense: JudgedDefense, columns: Sequence[Column]
) -> Estimate:
    """Mean accuracy over columns; NaN if none was tried behind the defense.

    The interval is Wilson's for one prediction per image. It is conservative, because an image's
    mean over several columns varies no more than a single prediction does.
    """
    values = per_image(evaluation, defense, columns)
    n = len(values)
    if np.isnan(values).any():
        return Estimate(np.nan, 0.0, 1.0)
    return Estimate(float(values.mean()), *wilson_interval(min(float(values.sum()), n), n))


def paired_difference(ours: Floats, other: Floats, tests: int = 1) -> Estimate:
    """Mean of ``ours - other`` over images, with Student's 95 % interval of the paired differences.

    The interval is NaN for fewer than two images. The mean and the interval are NaN if any value
    is NaN. If all images differ by the same, which has no spread, the share of images that do has
    its exact bound, and the others may differ by 1 in the other direction: six images that all
    become right show a gain, five do not.

    Parameters
    ----------
    ours, other : ndarray of shape (n,)
        Shares, 0 to 1. No difference of shares is beyond ±1, so the interval ends there; without
        this, Student's quantile goes far beyond for few images.
    tests : int
        The number of differences of which this one was chosen after the fact. The interval is
        widened so that it would hold for all of them (Bonferroni).
    """
    from scipy.special import stdtrit

    difference = ours - other
    n, mean = len(difference), float(difference.mean())
    if n < 2:
        return Estimate(mean, np.nan, np.nan)
    if mean and not np.ptp(difference):
        alike = (0.025 / tests) ** (1 / n)
        worst = alike * mean - float(np.sign(mean)) * (1 - alike)
        return Estimate(mean, min(worst, mean), max(worst, mean))
    half = float(stdtrit(n - 1, 1 - 0.025 / tests) * difference.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, *np.clip([mean - half, mean + half], -1, 1).tolist())


def percent(value: float, digits: int = 1) -> str:
    """A share in per cent without the sign: ``81.3``; a dash for NaN."""
    return "–" if np.isnan(value) else f"{100 * value:.{digits}f}"


def interval(estimate: Estimate, digits: int = 1) -> str:
    """An interval in per cent: ``76.0–85.7``."""
    return f"{percent(estimate.low, digits)}–{percent(estimate.high, digits)}"


def points(value: float) -> str:
    """A difference in percentage points with its sign; a dash for NaN."""
    return "–" if np.isnan(value) else f"{100 * value:+.1f}".replace("-", "−")


def number(value: float) -> str:
    """A strength in its shortest form."""
    return f"{value:g}"
