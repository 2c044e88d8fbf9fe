"""Parameters of ``rsparse report``."""

from __future__ import annotations

import dataclasses

from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class ReportParameters(Parameters):
    """How much a report shows."""

    sheet_images: int = parameter(
        8,
        "Number of images in a contact sheet; each kind of attack has one sheet.",
        minimum=1,
        maximum=60,
        rare=True,
    )
    attention_images: int = parameter(
        4, "Number of images with attention maps.", minimum=1, maximum=60, rare=True
    )
    activation_images: int = parameter(
        24, "Number of images for the activations by layer.", minimum=1, maximum=100_000, rare=True
    )
