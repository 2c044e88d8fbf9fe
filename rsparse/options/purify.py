"""Parameters of ``rsparse purify``."""

from __future__ import annotations

import dataclasses

from rsparse.options.device import batch_parameter, device_parameter, seed_parameter
from rsparse.options.fields import Parameters, parameter
from rsparse.options.sections import INPUT_OUTPUT


@dataclasses.dataclass(frozen=True)
class PurifyParameters(Parameters):
    """RegionSparse coding (the paper's Section IV-C)."""

    sparsity: int = parameter(
        2,
        "Code every image with K atoms per patch, instead of by the policy; fewer remove more of "
        "the attack and more of the image.",
        details="The options below then apply to all images.",
        minimum=1,
        maximum=1024,
        shown_default="by the policy",
    )
    min_correlation: float = parameter(
        0.0,
        "Stop adding atoms to a patch when none correlates more than this with the standardised "
        "residual, so that flat patches get fewer than K atoms; 0 stops only at K.",
        minimum=0,
        maximum=1000,
        rare=True,
    )
    stride: int = parameter(
        2,
        "Distance of neighbouring patches in pixels; smaller is slower and smoother.",
        minimum=1,
        maximum=64,
        shown_default="2, with --sparsity",
    )
    localize: bool = parameter(
        True,
        "Code only the object region, or the whole image.",
        details="The options of 'rsparse localize', such as --threshold, set how the region is "
        "found.",
        shown_default="localize, with --sparsity",
    )
    prefilter: bool = parameter(
        False,
        "Apply the bilateral filter to the whole image before coding, or code it unfiltered.",
        rare=True,
    )
    filter_background: bool = parameter(
        True,
        "Apply the bilateral filter outside the object region, or leave the background unchanged.",
        flag="--filter-background/--keep-background",
        rare=True,
    )
    bilateral_diameter: int = parameter(
        9, "Diameter of the bilateral filter in pixels.", minimum=1, maximum=99, rare=True
    )
    bilateral_sigma_color: float = parameter(
        80.0,
        "Standard deviation of the bilateral filter over colours, in grey levels.",
        above=0,
        maximum=1000,
        rare=True,
    )
    bilateral_sigma_space: float = parameter(
        80.0,
        "Standard deviation of the bilateral filter over distance, in pixels.",
        above=0,
        maximum=1000,
        rare=True,
    )
    theta: float = parameter(
        1.0,
        "θ of eq. (19) in the object region: its share of the coded image; the rest is the image "
        "as the background has it. 1 is only the coded image, 0 none of it.",
        minimum=0,
        maximum=1,
        rare=True,
    )
    feather: float = parameter(
        2.0,
        "Width of the soft border of the object region, in pixels; 0 gives a hard edge.",
        minimum=0,
        maximum=256,
        rare=True,
    )


@dataclasses.dataclass(frozen=True)
class PurifyRunParameters(Parameters):
    """How a folder is purified, for any defense."""

    device: str = device_parameter()
    resize_to: str | None = parameter(
        None,
        "Resize images before cleaning, to a side such as 299 or to height x width such as "
        "224x320; with a centre crop as a model's, 224:crop:0.875. evaluate and train always "
        "clean at the model's input size.",
        none="native",
        metavar="SIDE|HxW[:crop:SHARE]",
        section=INPUT_OUTPUT,
        rare=True,
    )
    batch_size: int = batch_parameter(
        16, "Images purified together on a GPU; a CPU takes one at a time."
    )
    seed: int = seed_parameter("Seed of defenses that use random numbers.")
