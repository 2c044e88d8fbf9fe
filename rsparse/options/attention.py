"""What can be set in drawing class activation maps."""

from __future__ import annotations

import dataclasses

from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class AttentionParameters(Parameters):
    """Class activation maps (the paper's Section V-B)."""

    center_weights: bool = parameter(
        True,
        "Weigh features for the class against the average class, or by its weights as they are, "
        "which a softmax leaves open by one vector common to all classes.",
        flag="--center-weights/--raw-weights",
    )
    map_opacity: float = parameter(
        0.5, "Share of the map's colours in the overlay.", minimum=0, maximum=1
    )
    picture_size: int = parameter(
        256, "Longer side of a picture in a panel, in pixels.", minimum=64, maximum=4096
    )
