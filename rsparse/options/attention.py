"""Parameters of ``rsparse attention``."""

from __future__ import annotations

import dataclasses

from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class AttentionParameters(Parameters):
    """Class activation maps (the paper's Section V-B)."""

    method: str = parameter(
        "auto",
        "How maps are made: auto is cam where it works, else grad-cam.",
        details="cam: from the graph, for networks that end in global average pooling and a linear "
        "layer. grad-cam: from gradients of the torch twin, for any network with convolutions.",
        choices=("auto", "cam", "grad-cam"),
    )
    center_weights: bool = parameter(
        True,
        "Subtract the average of all classes from the class's weights, or use them unchanged. A "
        "softmax does not depend on that average.",
        flag="--center-weights/--raw-weights",
        rare=True,
    )
    map_opacity: float = parameter(
        0.5, "Opacity of the map in the overlay.", minimum=0, maximum=1, rare=True
    )
    picture_size: int = parameter(
        256,
        "Longer side of each picture in a panel, in pixels.",
        minimum=64,
        maximum=4096,
        rare=True,
    )
