"""Certify a classification by randomized smoothing (Cohen, Rosenfeld, Kolter 2019).

The smoothed classifier answers with the class that a base classifier f gives most often to
x + noise, with noise from N(0, σ²I). If a class has at least the probability p > ½ there, no change
of x whose L2 norm is below σ Φ⁻¹(p) takes the answer away from it. p is bounded from below by
samples, so a certificate is wrong with a probability of at most α.

f may contain any defense of the noisy image in front of the network: denoised smoothing (Salman,
Sun, Yang, Kapoor, Kolter 2020). A defense that draws random numbers from a seed and from the noisy
pixels is a function like any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse.options.certify import BLOCK

Floats = NDArray[np.float32]
Counts = NDArray[np.int64]

ABSTAIN = -1
"""Stands for the class where the samples do not decide."""


class Certificate(NamedTuple):
    """The answer of the smoothed classifier for an image.

    Attributes
    ----------
    predicted : int
        Its class, or ``ABSTAIN``.
    hits : int
        Samples of the estimate that the base classifier assigned to the selected class.
    p : float
        Lower bound of that class's probability, with confidence 1 − α.
    radius : float
        No change with a smaller L2 norm, for pixels in [0, 1], changes the class; 0 for ABSTAIN.
    """

    predicted: int
    hits: int
    p: float
    radius: float


def certify(selection: Counts, estimate: Counts, sigma: float, alpha: float) -> Certificate:
    """Certify from the classes of noisy samples (``CERTIFY`` of Cohen et al.).

    Parameters
    ----------
    selection, estimate : int arrays of shape (n_classes,)
        How often the base classifier gave each class, in two independent sets of samples: the
        first selects the class, the second bounds its probability.
    sigma : float
        Standard deviation of the noise, for pixels in [0, 1]. A larger one allows larger radii and
        makes the base classifier less accurate.
    alpha : float
        Probability that the certificate is wrong.
    """
    chosen = int(selection.argmax())  # ties go to the lower class
    hits = int(estimate[chosen])
    p = lower_bound(hits, int(estimate.sum()), alpha)
    if p <= 0.5:
        return Certificate(ABSTAIN, hits, p, 0.0)
    return Certificate(chosen, hits, p, radius_of(p, sigma))


def lower_bound(successes: int, n: int, alpha: float) -> float:
    """Lower bound of a probability after ``successes`` in ``n`` trials, with confidence 1 − α.

    Notes
    -----
    Clopper and Pearson (1934), one-sided: the p at which so many or more successes have the
    probability α, a quantile of the beta distribution.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"expected 0 to {n} successes, got {successes}")
    from scipy.special import betaincinv

    return float(betaincinv(successes, n - successes + 1, alpha)) if successes else 0.0


def radius_of(p: float, sigma: float) -> float:
    """σ Φ⁻¹(p), the certified L2 radius for a class of probability ``p`` ≥ ½ or more."""
    return sigma * NormalDist().inv_cdf(p)


def largest_radius(n: int, sigma: float, alpha: float) -> float:
    """The radius if all ``n`` samples agree: no image can get a larger one."""
    p = lower_bound(n, n, alpha)
    return radius_of(p, sigma) if p > 0.5 else 0.0


def grey_levels(radius: float, size: tuple[int, int], channels: int = 3) -> float:
    """The change of all pixels and channels that an L2 radius covers, in grey levels of 255.

    A change of ±k grey levels everywhere has the L2 norm k √(c·h·w) / 255.
    """
    return radius * 255 / math.sqrt(channels * size[0] * size[1])


def one_grey_level(size: tuple[int, int], channels: int = 3) -> float:
    """The L2 norm of ±1 grey level everywhere: 1.52 for an image of 224×224."""
    return 1 / grey_levels(1.0, size, channels)


def noise_block(
    seed: int, digest: str, phase: int, block: int, n: int, shape: tuple[int, ...]
) -> Iterator[Floats]:
    """Yield ``n`` ≤ ``BLOCK`` samples of N(0, I), float32 arrays of shape ``shape``.

    They depend on nothing else than the arguments. Fewer samples are the first ones of more.

    Parameters
    ----------
    seed : int
    digest : str
        Of the image's pixels, in hexadecimal digits.
    phase : int
        0 for the selection, 1 for the estimate.
    block : int
        The number of the block within the phase.
    """
    if not 0 <= n <= BLOCK:
        raise ValueError(f"expected at most {BLOCK} samples, got {n}")
    rng = np.random.default_rng([seed, int(digest, 16), phase, block])
    for _ in range(n):
        yield rng.standard_normal(shape, np.float32)


def digest_of(image: NDArray[np.uint8]) -> str:
    """The digest of an image's pixels and size, for ``noise_block``."""
    import hashlib

    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
