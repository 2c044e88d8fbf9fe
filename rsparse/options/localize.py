"""What can be set in finding the object region."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class LocalizeParameters(Parameters):
    """Object localization (the paper's Section IV-C a)."""

    section: ClassVar[str | None] = "Object region"

    gradient: str = parameter(
        "sobel", "Operator for the gradients Gx and Gy.", choices=("sobel", "scharr")
    )
    gradient_difference: str = parameter(
        "signed",
        "signed: |Gx − Gy|, as the recipe's code does; "
        "horizontal: |Gx| − |Gy| where positive, as the paper's sentence says.",
        choices=("signed", "horizontal"),
    )
    blur_size: int = parameter(
        9, "Side of the box blur before thresholding.", minimum=1, maximum=99
    )
    threshold: int = parameter(
        90, "Grey level above which a pixel counts as object.", minimum=0, maximum=254
    )
    otsu: bool = parameter(False, "Choose the threshold of each image by Otsu's method.")
    closing_size: int = parameter(
        25, "Side of the square that closes gaps between edges.", minimum=1, maximum=999
    )
    opening_rounds: int = parameter(
        4, "3×3 erosions, then as many dilations, that drop specks.", minimum=0, maximum=100
    )
    keep_contours: str = parameter(
        "largest", "Which outlines become the object region.", choices=("largest", "all")
    )
    fallback_region: str = parameter(
        "whole",
        "Region of an image in which nothing is found: the whole image, its central quarter, "
        "or nothing.",
        choices=("whole", "center", "none"),
    )
    working_size: int = parameter(
        299,
        "Images whose longer side exceeds this are searched at this size, since the other "
        "values are in pixels; 0 searches at full size.",
        minimum=0,
        maximum=65536,
    )
