"""Define the base of all denoisers, and defenses as denoisers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rsparse.defenses.defense import Defense, Resources
from rsparse.options.fields import Parameters
from rsparse.options.specs import spec_string

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Denoiser(Parameters):
    """Base of all denoisers.

    Attributes
    ----------
    name : str
        Its name in a spec.
    strengths : tuple of str
        The parameters that are always part of its spec.
    """

    name: ClassVar[str]
    strengths: ClassVar[tuple[str, ...]] = ()

    def denoise(self, x: Floats, sigma: float, resources: Resources) -> Floats:
        """Remove noise from an image.

        It is a function of the noisy image, and of a seed where it draws random numbers.

        Parameters
        ----------
        x : float32 array of shape (h, w, 3), RGB
            The image in [0, 1] with noise, neither rounded nor clipped.
        sigma : float
            The standard deviation of the noise.
        resources : Resources

        Returns
        -------
        float32 array of shape (h, w, 3)
        """
        raise NotImplementedError

    @property
    def has_device_part(self) -> bool:
        """Whether ``on`` denoises on a device; if not, the CPU cores do."""
        return False

    def on(self, device: str) -> Callable[[torch.Tensor, float], torch.Tensor]:
        """``denoise`` in torch, for images (n, 3, h, w) on a device of torch, and σ."""
        raise NotImplementedError

    @property
    def dictionaries(self) -> tuple[str, ...]:
        """Names of the dictionaries that it needs; "" is the default one."""
        return ()

    def check(self, resources: Resources) -> None:
        """Check that ``resources`` hold what it needs; raise ``InputError`` if not."""

    def codecs(self) -> dict[str, str]:
        """Versions of libraries, and digests of embedded weights, that its results depend on."""
        return {}

    @property
    def spec(self) -> str:
        """Its spec string: ``omp:threshold=3``."""
        return spec_string(self.name, self)

    def as_record(self) -> dict[str, Any]:
        """Return its name and values as plain JSON types."""
        return {"name": self.name, **super().as_record()}


@dataclass(frozen=True)
class DefenseDenoiser(Denoiser):
    """A defense as a denoiser, which does not know σ.

    Attributes
    ----------
    defense : Defense
        It gets the noisy image as it is if it can, else clipped and rounded to grey levels.
    """

    name: ClassVar[str] = "defense"

    defense: Defense

    def __post_init__(self) -> None:
        """Check nothing: the defense is already checked."""

    def denoise(self, x: Floats, sigma: float, resources: Resources) -> Floats:  # noqa: ARG002
        return self.defense.clean_unrounded(x, resources)

    @property
    def dictionaries(self) -> tuple[str, ...]:
        return self.defense.dictionaries

    def check(self, resources: Resources) -> None:
        self.defense.check(resources)

    def codecs(self) -> dict[str, str]:
        return self.defense.codecs()

    @property
    def spec(self) -> str:
        return self.defense.spec

    def as_record(self) -> dict[str, Any]:
        return self.defense.as_record()
