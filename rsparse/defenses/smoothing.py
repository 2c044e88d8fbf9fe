"""Defenses that smooth an image with its own neighbourhoods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.defenses.defense import Defense, Resources
from rsparse.options.fields import parameter
from rsparse.options.purify import PurifyParameters

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels


@dataclass(frozen=True)
class Median(Defense):
    """The median of each pixel's square neighbourhood.

    References
    ----------
    Das et al. (2018), SHIELD: 3×3.
    """

    name: ClassVar[str] = "median"
    strengths: ClassVar[tuple[str, ...]] = ("size",)

    size: int = parameter(3, "Side of the window in pixels.", minimum=1, maximum=99)

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        from rsparse.core.filters import median

        return median(image, self.size)


@dataclass(frozen=True)
class FeatureSqueezing(Median):
    """The paper's baseline: feature squeezing by local smoothing, a median filter.

    The paper describes a window that slides over each pixel and makes it like its neighbours,
    which is the median smoothing of Xu et al.; on ImageNet they set 2×2. Their other squeezers
    are ``bit-depth`` and ``nlm`` with their defaults; the detector that joins all three purifies
    nothing.

    References
    ----------
    Xu, Evans, Qi (2018), "Feature squeezing: Detecting adversarial examples in deep neural
    networks", the paper's [12].
    """

    name: ClassVar[str] = "feature-squeezing"

    size: int = parameter(2, "Side of the window in pixels.", minimum=1, maximum=99)


@dataclass(frozen=True)
class NonLocalMeans(Defense):
    """Each pixel becomes the mean of those in its surroundings whose patches look alike.

    References
    ----------
    Buades, Coll, Morel (2005). Xu, Evans, Qi (2018), "Feature squeezing": 11-3-4 (search, patch,
    strength) on ImageNet.
    """

    name: ClassVar[str] = "nlm"
    strengths: ClassVar[tuple[str, ...]] = ("h",)

    h: float = parameter(4.0, "Strength in grey levels.", above=0, maximum=255)
    template: int = parameter(
        3, "Side of the patches that are compared.", minimum=1, maximum=31, odd=True
    )
    search: int = parameter(
        11, "Side of the window that is searched.", minimum=1, maximum=99, odd=True
    )

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        from rsparse.core.filters import non_local_means

        return non_local_means(image, self.h, self.template, self.search)


@dataclass(frozen=True)
class Bilateral(Defense):
    """The paper's filter for the background, on the whole image.

    References
    ----------
    Tomasi, Manduchi (1998). The defaults are those of ``PurifyParameters``.
    """

    name: ClassVar[str] = "bilateral"
    strengths: ClassVar[tuple[str, ...]] = ("sigma_color",)

    sigma_color: float = parameter(
        PurifyParameters.bilateral_sigma_color,
        "Tolerance between colours, in grey levels.",
        above=0,
        maximum=1000,
    )
    sigma_space: float = parameter(
        PurifyParameters.bilateral_sigma_space,
        "Reach in pixels, within the diameter.",
        above=0,
        maximum=1000,
    )
    diameter: int = parameter(
        PurifyParameters.bilateral_diameter,
        "Of the neighbourhood, in pixels.",
        minimum=1,
        maximum=99,
    )

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        from rsparse.core.filters import bilateral

        return bilateral(image, self.diameter, self.sigma_color, self.sigma_space)


@dataclass(frozen=True)
class Gaussian(Defense):
    """A Gaussian blur; no author's number, one pixel is the mildest that is usual."""

    name: ClassVar[str] = "gaussian"
    strengths: ClassVar[tuple[str, ...]] = ("sigma",)

    sigma: float = parameter(1.0, "Standard deviation in pixels.", above=0, maximum=100)

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        from rsparse.core.filters import gaussian

        return gaussian(image, self.sigma)
