"""What can be set in attacking a folder, whatever the attack."""

from __future__ import annotations

import dataclasses

from rsparse.options.device import device_parameter
from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class AttackRunParameters(Parameters):
    """How a folder is attacked, whatever the attack."""

    only_correct: bool = parameter(
        False,
        "Attack only what the model classifies correctly, as the paper does.",
        flag="--only-correct",
    )
    keep_size: bool = parameter(
        False,
        "Attack images at their own size, through the model's resizing; without it they are "
        "first fitted to the model's input size.",
        flag="--keep-size",
    )
    keep_float: bool = parameter(
        False, "Also keep the images before rounding, as float32 in float.h5.", flag="--keep-float"
    )
    batch_size: int | None = parameter(
        None,
        "Images attacked together; auto is 4, on a GPU as many as its memory holds, at most 64.",
        minimum=1,
        maximum=65536,
        none="auto",
    )
    seed: int = parameter(
        0, "Seed of attacks that draw random numbers.", minimum=0, maximum=2**32 - 1
    )
    device: str = device_parameter()
