"""Scale the perturbations of a whole folder to an average dissimilarity (Section V-A).

The paper multiplies Carlini-Wagner's perturbations by one constant τ ≥ 1 to change their strength
d, the mean of ‖x′ − x‖₂/‖x‖₂, and adjusts MI-FGSM's average d, too. Pixels are clipped at black and
white, so τ has to be found by iteration.
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
    """The constant τ, and the average dissimilarity before (``d_raw``) and after it (``d``)."""

    tau: float
    d_raw: float
    d: float


def scaled(x: Image, x_adv: Image, tau: float) -> Image:
    """Return clip(x + τ·(x_adv − x)) for arrays in [0, 1] of equal shape."""
    if tau == 1:
        return x_adv
    return np.clip(x + np.float32(tau) * (x_adv - x), 0, 1)


def scale_to_average(
    pairs: Callable[[], Iterable[tuple[Image, Image]]], d: float, *, shrink: bool = False
) -> Scaling:
    """Find τ so that the average dissimilarity of ``scaled`` images is d.

    Parameters
    ----------
    pairs : callable
        Yields all pairs of original and adversarial images (h, w, 3). It is called several times,
        so that the pairs can be read from disk each time.
    d : float
        The target average.
    shrink : bool
        Whether τ may be below 1. Smallest changes that fool a classifier would fool it no longer,
        so without ``shrink`` τ = 1 if the raw average is already above d.

    Returns
    -------
    Scaling
        ``d`` is within 0.01 % of the target, or the largest value that clipping allows.

    Notes
    -----
    Because of clipping, the average m(τ) grows more slowly than τ, so the step τ·d/m(τ) never
    overshoots: the sequence approaches the solution from below, in one step if nothing clips.
    """

    def average(tau: float) -> float:
        values = [dissimilarity(x[None], scaled(x, x_adv, tau)[None])[0] for x, x_adv in pairs()]
        finite = [value for value in values if np.isfinite(value)]
        return float(np.mean(finite)) if finite else 0.0

    tau, reached = 1.0, average(1.0)
    d_raw = reached
    if shrink and reached > d:  # on the way to x nothing is clipped
        return Scaling(d / reached, d_raw, average(d / reached))
    for _ in range(MAX_PASSES):
        if reached == 0 or reached >= d * (1 - TOLERANCE):
            break
        tau *= d / reached
        reached = average(tau)
    return Scaling(tau, d_raw, reached)
