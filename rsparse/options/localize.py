"""Parameters of ``rsparse localize``, and of the object region in ``rsparse purify``."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class LocalizeParameters(Parameters):
    """Object localization (the paper's Section IV-C a)."""

    section: ClassVar[str] = "Object region"

    gradient: str = parameter(
        "sobel", "Operator for the gradients Gx and Gy.", choices=("sobel", "scharr"), rare=True
    )
    gradient_difference: str = parameter(
        "signed",
        "How Gx and Gy are combined: signed is |Gx − Gy|, as in the code of the original recipe; "
        "horizontal is |Gx| − |Gy| where positive, as the paper describes it.",
        choices=("signed", "horizontal"),
        rare=True,
    )
    blur_size: int = parameter(
        9, "Side of the box blur before thresholding, in pixels.", minimum=1, maximum=99, rare=True
    )
    threshold: int = parameter(
        90, "Grey level above which a pixel counts as object.", minimum=0, maximum=254
    )
    otsu: bool = parameter(
        False, "Choose the threshold for each image by Otsu's method, or use --threshold."
    )
    closing_size: int = parameter(
        25,
        "Side of the square that closes gaps between edges, in pixels.",
        minimum=1,
        maximum=999,
        rare=True,
    )
    opening_rounds: int = parameter(
        4,
        "Number of 3×3 erosions, and of dilations after them, that remove specks.",
        minimum=0,
        maximum=100,
        rare=True,
    )
    keep_contours: str = parameter(
        "largest",
        "Outlines that become the object region: the largest one, or all.",
        choices=("largest", "all"),
        rare=True,
    )
    fallback_region: str = parameter(
        "whole",
        "Region of an image without an object: the whole image, its central quarter, or none.",
        choices=("whole", "center", "none"),
    )
    working_size: int = parameter(
        299,
        "Shrink images to this longer side before the search, since the other values are in "
        "pixels; 0 searches at full size.",
        minimum=0,
        maximum=65536,
        rare=True,
    )
