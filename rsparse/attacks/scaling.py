"""Scale the perturbations of a whole folder to an average dissimilarity (Section V-A).

The paper multiplies Carlini-Wagner's perturbations by one constant τ ≥ 1 to alter their strength
d, the mean of ‖x′ − x‖₂/‖x‖₂. Pixels that reach black or white take no more, so τ is found by
measuring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsparse.core.metrics import dissimilarity

Image = NDArray[np.float32]
MAX_PASSES = 40
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Scaling:
    """The constant τ, with the average dissimilarity before it and the one reached with it."""

    tau: float
    d_raw: float
    d: float


def scaled(x: Image, x_adv: Image, tau: float) -> Image:
    """clip(x + τ·(x_adv − x)) of arrays in [0, 1], of any equal shape."""
    if tau == 1:
        return x_adv
    return np.clip(x + np.float32(tau) * (x_adv - x), 0, 1)


def scale_to_average(pairs: Callable[[], Iterable[tuple[Image, Image]]], d: float) -> Scaling:
    """Find τ ≥ 1 so that the average dissimilarity of ``scaled`` images is d.

    Parameters
    ----------
    pairs : callable
        Gives all pairs of original and adversarial image (h, w, 3), anew at each call, so that
        they may come from the disk.
    d : float
        The average to reach. Where the raw average is above it already, τ = 1.

    Returns
    -------
    Scaling
        ``d`` is within 0.01 % of the wanted one, or the largest that clipping left in reach.

    Notes
    -----
    Clipping lets the average m(τ) grow more slowly than τ, so the step τ·d/m(τ) never
    overshoots: the sequence rises to the solution from below, in one step if nothing clips.
    """

    def average(tau: float) -> float:
        values = [dissimilarity(x[None], scaled(x, x_adv, tau)[None])[0] for x, x_adv in pairs()]
        finite = [value for value in values if np.isfinite(value)]
        return float(np.mean(finite)) if finite else 0.0

    tau, reached = 1.0, average(1.0)
    d_raw = reached
    for _ in range(MAX_PASSES):
        if reached == 0 or reached >= d * (1 - TOLERANCE):
            break
        tau *= d / reached
        reached = average(tau)
    return Scaling(tau, d_raw, reached)
