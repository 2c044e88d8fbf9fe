"""Define the noisy versions of a training: with Gaussian noise of known σ, then denoised.

A classifier that learns from them answers better behind that denoiser, so that ``rsparse certify``
proves larger radii for it (Salman, Sun, Yang, Kapoor, Kolter 2020; without a denoiser, Cohen,
Rosenfeld, Kolter 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsparse.defenses import NoDefense, Resources
from rsparse.denoisers import DefenseDenoiser, Denoiser, parse_denoiser
from rsparse.denoisers.resources import load_resources
from rsparse.errors import InputError
from rsparse.options.train import TrainParameters
from rsparse.store.images import Pixels, to_unit
from rsparse.store.records import Source

Floats = NDArray[np.float32]

_NONE = DefenseDenoiser(NoDefense())


@dataclass(frozen=True)
class NoisyVersions:
    """The noisy versions of a training, and the denoiser of all of them.

    Attributes
    ----------
    sigmas : mapping of str to float
        The standard deviation of the noise, for pixels in [0, 1], by version.
    denoiser : Denoiser
    resources : Resources
        What the denoiser needs.
    """

    sigmas: Mapping[str, float] = field(default_factory=dict)
    denoiser: Denoiser = _NONE
    resources: Resources = field(default_factory=Resources)

    @classmethod
    def from_sigmas(
        cls, sigmas: Sequence[float], denoiser: Denoiser, resources: Resources
    ) -> NoisyVersions:
        """Create one version for each σ."""
        return cls({f"noisy-{sigma:g}": sigma for sigma in sigmas}, denoiser, resources)

    def shown(self, version: str, image: Pixels, seed: Sequence[int]) -> Floats:
        """Add noise to an image and denoise it, as ``rsparse certify`` does.

        Parameters
        ----------
        version : str
            One of ``sigmas``.
        image : uint8 array of shape (h, w, 3)
        seed : sequence of int
            Of the noise.

        Returns
        -------
        float32 array of shape (h, w, 3)
            In the unit of [0, 1], neither rounded nor clipped.
        """
        sigma = self.sigmas[version]
        noise = np.random.default_rng(seed).standard_normal(image.shape, np.float32)
        noisy = to_unit(image) + np.float32(sigma) * noise
        return self.denoiser.denoise(noisy, sigma, self.resources)

    def check(self, size: tuple[int, int]) -> None:
        """Check that the denoiser accepts images of this height and width.

        Raises
        ------
        InputError
            If the images are too small for it.
        """
        for version in self.sigmas:
            try:
                self.shown(version, np.zeros((*size, 3), np.uint8), [0])
            except InputError as error:
                raise InputError(
                    f"--denoiser {self.denoiser.spec}: at the model's input size an image {error}"
                ) from error


def load_noise(
    parameters: TrainParameters, dictionaries: Mapping[str, Path]
) -> tuple[NoisyVersions, dict[str, Source]]:
    """Load the noisy versions, and the dictionaries of their denoiser.

    Raises
    ------
    InputError
        If the denoiser is unknown, or a dictionary is missing or cannot be used.
    """
    if not parameters.is_noisy:
        return NoisyVersions(), {}
    denoiser = parse_denoiser(parameters.denoiser)
    resources, used = load_resources(denoiser, dictionaries, parameters.seed)
    return NoisyVersions.from_sigmas(parameters.noise_sigmas, denoiser, resources), used
