"""What can be set in a report."""

from __future__ import annotations

import dataclasses

from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class ReportParameters(Parameters):
    """How much a report shows."""

    sheet_images: int = parameter(
        8, "Images in each contact sheet, one sheet for each kind of attack.", minimum=1, maximum=60
    )
    attention_images: int = parameter(4, "Images whose attention is shown.", minimum=1, maximum=60)
    activation_images: int = parameter(
        24, "Images whose activation by layer is measured.", minimum=1, maximum=100_000
    )
