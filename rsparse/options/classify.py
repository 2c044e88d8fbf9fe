"""Parameters of ``rsparse classify``."""

from __future__ import annotations

import dataclasses

from rsparse.options.device import batch_parameter, device_parameter
from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class ClassifyParameters(Parameters):
    """Classification by an ONNX model."""

    top: int = parameter(
        5, "Number of most probable classes to report.", minimum=1, maximum=100_000
    )
    device: str = device_parameter()
    batch_size: int = batch_parameter(
        16, "Images classified together on a GPU; a CPU takes one at a time."
    )
