"""Parameters of ``rsparse certify``."""

from __future__ import annotations

import dataclasses

from rsparse.errors import InputError
from rsparse.options.device import device_parameter, seed_parameter
from rsparse.options.fields import Parameters, parameter
from rsparse.options.sigmas import ONE_OR_SEVERAL, sigmas_from

BLOCK = 100
"""Samples that are drawn from one random number generator."""


@dataclasses.dataclass(frozen=True)
class CertifyParameters(Parameters):
    """Certificates by randomized smoothing."""

    sigma: str = parameter(
        "0.12",
        "Standard deviation of the noise for pixels in [0, 1], or several separated by commas.",
        details="More noise allows larger radii and makes the classifier less accurate.",
        metavar="X[,X…]",
        what=ONE_OR_SEVERAL,
    )
    denoiser: str = parameter(
        "unrolled",
        "Denoiser of each noisy image, before the classifier: unrolled (learned sparse coding), "
        "omp (sparse coding), or any defense, such as none, gaussian:sigma=1 or nlm:h=20.",
        metavar="SPEC",
        what="a denoiser",
    )
    n0: int = parameter(
        100,
        "Noisy samples that select the class of an image.",
        minimum=1,
        maximum=1_000_000,
        rare=True,
    )
    n: int = parameter(
        1000,
        "Noisy samples of each image; they limit the radius: 1,000 allow 2.46 σ, 10,000 allow "
        "3.2 σ.",
        details="They bound the probability of the class.",
        minimum=1,
        maximum=100_000_000,
    )
    first: int = parameter(
        0,
        "Number of the first of these samples, a multiple of 100. Several machines can take "
        "different samples; merge what they find with 'rsparse certify A B -o ALL'.",
        minimum=0,
        maximum=100_000_000,
        rare=True,
    )
    alpha: float = parameter(
        0.001, "Probability with which a certificate may be wrong.", above=0, maximum=0.5, rare=True
    )
    seed: int = seed_parameter("Seed of the noise.")
    device: str = device_parameter()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first % BLOCK:
            raise InputError(f"first: expected a multiple of {BLOCK}, got {self.first}")
        sigmas_from(self.sigma, "sigma")

    @property
    def sigmas(self) -> tuple[float, ...]:
        """The standard deviations, in rising order."""
        return sigmas_from(self.sigma, "sigma")
