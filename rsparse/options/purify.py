"""What can be set in purifying images."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from rsparse.options.device import device_parameter
from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class PurifyParameters(Parameters):
    """RegionSparse coding (the paper's Section IV-C)."""

    section: ClassVar[str | None] = "RegionSparse"

    sparsity: int = parameter(
        2,
        "Atoms K per patch; fewer remove more, of the attack and of the image. Every image is then "
        "purified alike, by this and the options below; without it, by the policy.",
        minimum=1,
        maximum=1024,
        shown_default="by the policy",
    )
    min_correlation: float = parameter(
        0.0,
        "Take no further atom that correlates less with what is left of a patch, which is "
        "standardised: flat patches then get fewer than K. 0 stops by K alone.",
        minimum=0,
        maximum=1000,
    )
    stride: int = parameter(
        2,
        "Pixels between neighbouring patches; smaller is slower and smoother.",
        minimum=1,
        maximum=64,
    )
    localize: bool = parameter(
        True,
        "Code the object region only, or the whole image. The region is found as 'rsparse "
        "localize' finds it, and by the options that its help lists, such as --threshold.",
    )
    prefilter: bool = parameter(
        False, "Filter the whole image, as the background is, before it is coded."
    )
    filter_background: bool = parameter(
        True,
        "Filter what is outside the object region, or keep it as it is.",
        flag="--filter-background/--keep-background",
    )
    bilateral_diameter: int = parameter(
        9, "Diameter of the background's bilateral filter.", minimum=1, maximum=99
    )
    bilateral_sigma_color: float = parameter(
        80.0, "Its tolerance between colours, in grey levels.", above=0, maximum=1000
    )
    bilateral_sigma_space: float = parameter(
        80.0, "Its reach in pixels, within the diameter.", above=0, maximum=1000
    )
    feather: float = parameter(
        2.0, "Softness of the region's border in pixels; 0 cuts hard.", minimum=0, maximum=256
    )


@dataclasses.dataclass(frozen=True)
class PurifyRunParameters(Parameters):
    """How a folder is purified, whatever the parameters."""

    device: str = device_parameter()
    resize_to: str | None = parameter(
        None,
        "Resize images before they are cleaned, to a side such as 299 or height x width such as "
        "224x320. evaluate and train clean at the model's input size.",
        none="native",
        metavar="SIDE|HxW",
    )
    batch_size: int = parameter(
        16,
        "Images that a GPU purifies together; the CPU takes one at a time.",
        minimum=1,
        maximum=65536,
    )
    seed: int = parameter(
        0, "Seed of defenses that draw random numbers.", minimum=0, maximum=2**32 - 1
    )
