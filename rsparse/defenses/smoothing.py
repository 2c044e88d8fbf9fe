"""Define defenses that smooth an image with filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.defenses.defense import Defense, Resources
from rsparse.options.fields import parameter
from rsparse.options.purify import PurifyParameters

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels
    from rsparse.defenses.defense import Floats


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
    """Feature squeezing by local smoothing, the paper's baseline: a median filter.

    The paper describes a window that slides over the image and makes each pixel similar to its
    neighbours. This is the median smoothing of Xu et al., who use 2×2 on ImageNet. Their other
    squeezers are ``bit-depth`` and ``nlm`` with the default parameters. Their detector, which
    combines all three, purifies nothing.

    References
    ----------
    Xu, Evans, Qi (2018), "Feature squeezing: Detecting adversarial examples in deep neural
    networks", the paper's [12].
    """

    name: ClassVar[str] = "feature-squeezing"

    size: int = parameter(2, "Side of the window in pixels.", minimum=1, maximum=99)


@dataclass(frozen=True)
class NonLocalMeans(Defense):
    """Each pixel becomes the mean of nearby pixels with similar patches.

    The patches are compared in all colours together; ``weights=opencv`` smooths lightness and
    colour apart, as the authors of feature squeezing did.

    References
    ----------
    Buades, Coll, Morel (2005). Xu, Evans, Qi (2018), "Feature squeezing": 11-3-4 (search, patch,
    strength) on ImageNet.
    """

    name: ClassVar[str] = "nlm"
    strengths: ClassVar[tuple[str, ...]] = ("h",)

    h: float = parameter(
        4.0,
        "Strength in grey levels; with printed weights in squared grey levels.",
        above=0,
        maximum=1e9,
    )
    template: int = parameter(
        3, "Side of the compared patches in pixels.", minimum=1, maximum=31, odd=True
    )
    search: int | None = parameter(
        11,
        "Side of the search window in pixels, or whole for the whole image.",
        minimum=1,
        maximum=65535,
        odd=True,
        none="whole",
    )
    weights: str = parameter(
        "squared",
        "squared: exp(-d^2/h^2) with the mean square d^2 of the patches' differences. printed: "
        "eq. (16) as printed, exp(-d^2/h) with the sum of squares. opencv: OpenCV's.",
        choices=("squared", "printed", "opencv"),
    )

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        from rsparse.core.non_local import non_local_means

        return non_local_means(image, self.h, self.template, self.search, self.weights)


@dataclass(frozen=True)
class Bilateral(Defense):
    """The paper's background filter, applied to the whole image.

    References
    ----------
    Tomasi, Manduchi (1998). The defaults are the same as in ``PurifyParameters``.
    """

    name: ClassVar[str] = "bilateral"
    strengths: ClassVar[tuple[str, ...]] = ("sigma_color",)

    sigma_color: float = parameter(
        PurifyParameters.bilateral_sigma_color,
        "Tolerance between colours in grey levels.",
        above=0,
        maximum=1000,
    )
    sigma_space: float = parameter(
        PurifyParameters.bilateral_sigma_space,
        "Spatial sigma in pixels, within the diameter.",
        above=0,
        maximum=1000,
    )
    diameter: int = parameter(
        PurifyParameters.bilateral_diameter,
        "Diameter of the neighbourhood in pixels.",
        minimum=1,
        maximum=99,
    )

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        from rsparse.core.filters import bilateral

        return bilateral(image, self.diameter, self.sigma_color, self.sigma_space)


@dataclass(frozen=True)
class Gaussian(Defense):
    """A Gaussian blur. The default of one pixel is a mild blur, not taken from a paper."""

    name: ClassVar[str] = "gaussian"
    strengths: ClassVar[tuple[str, ...]] = ("sigma",)

    sigma: float = parameter(1.0, "Standard deviation in pixels.", above=0, maximum=100)

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        from rsparse.core.filters import gaussian

        return gaussian(image, self.sigma)

    def clean_unrounded(self, x: Floats, resources: Resources) -> Floats:  # noqa: ARG002
        from rsparse.core.filters import gaussian

        return gaussian(x, self.sigma)
