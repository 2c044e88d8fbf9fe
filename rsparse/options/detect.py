"""Parameters of ``rsparse detect``."""

from __future__ import annotations

import dataclasses

from rsparse.options.device import batch_parameter, device_parameter
from rsparse.options.fields import Parameters, parameter
from rsparse.options.sections import INPUT_OUTPUT


@dataclasses.dataclass(frozen=True)
class DetectParameters(Parameters):
    """Detection of attacked images."""

    false_alarms: float = parameter(
        0.05,
        "Share of clean images that may be taken for attacked.",
        details="They are like those of the reference. An image is detected if its p-value is at "
        "most this.",
        above=0,
        maximum=0.5,
    )
    tolerance: float = parameter(
        2.0,
        "Factor by which the noise of clean images may exceed that of the reference.",
        details="The noise of each image is divided by it. With 1, which is for images of the same "
        "origin as the reference only, weaker attacks are found.",
        minimum=1,
        maximum=100,
    )
    resize_to: str | None = parameter(
        None,
        "Resize images first, to a side such as 224; noise depends on the size, so all images "
        "should have that of the reference.",
        details="It may be height x width; with a centre crop, 224:crop:0.875. With --model, "
        "images are brought to its input.",
        section=INPUT_OUTPUT,
        none="native",
        metavar="SIDE|HxW[:crop:SHARE]",
    )
    device: str = device_parameter()
    batch_size: int = batch_parameter(
        16, "Images examined together on a GPU; a CPU takes one at a time."
    )

    def ranking(self) -> dict[str, float]:
        """The parameters on which the p-values and what is detected depend, but not the scores."""
        return {"false_alarms": self.false_alarms, "tolerance": self.tolerance}
