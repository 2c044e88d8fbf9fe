"""Measure how far adversarial images are from their originals, and how certain a share is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from rsparse.errors import InputError

Images = NDArray[np.floating]


def l2_distance(x: Images, x_adv: Images) -> NDArray[np.float64]:
    """‖x_adv − x‖₂ of each image.

    Parameters
    ----------
    x, x_adv : ndarray of shape (n, h, w, c)
        Originals and their changed versions, in the same unit (here [0, 1]).

    Returns
    -------
    ndarray of shape (n,), float64
        Distances in that unit; 0 for an unchanged image.
    """
    return _norms(_difference(x, x_adv))


def linf_distance(x: Images, x_adv: Images) -> NDArray[np.float64]:
    """max |x_adv − x| of each image, in the unit of ``x`` (see ``l2_distance``)."""
    return np.asarray(_flat(np.abs(_difference(x, x_adv))).max(axis=1, initial=0.0))


def dissimilarity(x: Images, x_adv: Images) -> NDArray[np.float64]:
    """d = ‖x_adv − x‖₂ / ‖x‖₂ of each image; its mean is the paper's L₂ strength.

    Parameters
    ----------
    x, x_adv : ndarray of shape (n, h, w, c)
        As for ``l2_distance``. The scale of the unit cancels out, but 0 has to be black.

    Returns
    -------
    ndarray of shape (n,), float64
        For a black original, which has norm 0, the result is 0 if unchanged and inf otherwise.

    Notes
    -----
    Defined by Guo et al., "Countering adversarial images using input transformations"
    (ICLR 2018, Section 2), as the mean over a set of images.
    """
    distances = l2_distance(x, x_adv)
    norms = _norms(np.asarray(x, dtype=np.float64))
    ratios = np.where(distances > 0, np.inf, 0.0)
    np.divide(distances, norms, out=ratios, where=norms > 0)
    return ratios


def wilson_interval(successes: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Compute Wilson's confidence interval of a share, from ``successes`` in ``n`` trials.

    Parameters
    ----------
    successes : float
        0 ≤ successes ≤ n; may be a fraction if a trial is a mean over several.
    n : int
        Number of trials. With n = 0 nothing is known: (0, 1).
    confidence : float
        Confidence level; a higher level gives a wider interval.

    Returns
    -------
    (low, high) : floats in [0, 1]

    Notes
    -----
    Wilson, "Probable inference, the law of succession, and statistical inference" (1927). Unlike
    the textbook's p ± 1.96·√(p(1−p)/n), it is valid for few trials and for shares near 0 and 1.
    """
    if not 0 <= successes <= n:
        raise InputError(f"successes: expected a number from 0 to {n}, got {successes}")
    if not 0 < confidence < 1:
        raise InputError(f"confidence: expected a number between 0 and 1, got {confidence!r}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else center - half  # exactly 0, without rounding error
    high = 1.0 if successes == n else center + half
    return low, high


def _difference(x: Images, x_adv: Images) -> NDArray[np.float64]:
    if x.shape != x_adv.shape:
        raise InputError(f"expected images of equal shape, got {x.shape} and {x_adv.shape}")
    return np.asarray(x_adv, dtype=np.float64) - x


def _norms(arrays: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = _flat(arrays)
    return np.sqrt(np.einsum("ij,ij->i", flat, flat))


def _flat(arrays: NDArray[np.float64]) -> NDArray[np.float64]:
    """One row per image; unlike ``-1``, this also works without images."""
    return arrays.reshape(len(arrays), math.prod(arrays.shape[1:]))


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval: a share of answers, or a difference of shares.

    Attributes
    ----------
    value : float
        NaN where nothing is known of it.
    low, high : float
        The ends of its interval.
    correct, n : int
        Of a share: how many of how many answers; otherwise 0.
    """

    value: float
    low: float
    high: float
    correct: int = 0
    n: int = 0

    @property
    def numbers(self) -> tuple[float, float, float]:
        """The value and the ends of its interval."""
        return self.value, self.low, self.high


def share_of(correct: int, n: int) -> Estimate:
    """The share of ``correct`` in ``n`` answers, with Wilson's interval; NaN where n is 0."""
    low, high = wilson_interval(correct, n)
    return Estimate(correct / n if n else float("nan"), low, high, correct, n)
