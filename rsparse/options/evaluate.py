"""What can be set in an evaluation, whatever is judged."""

from __future__ import annotations

import dataclasses

from rsparse.options.device import device_parameter
from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class EvaluateParameters(Parameters):
    """How an evaluation is made, whatever is judged."""

    only_correct: bool = parameter(
        True,
        "Judge only the images that the undefended model gets right, as the paper does, or all.",
        flag="--only-correct/--all-images",
    )
    max_images: int | None = parameter(
        None,
        "At most so many images, evenly from the list of their names.",
        minimum=1,
        maximum=1_000_000_000,
    )
    extra_checks: bool = parameter(
        True, "Also run the extra attacks that the checklist needs: noise, a huge eps, more steps."
    )
    batch_size: int | None = parameter(
        None,
        "Images attacked together; auto is 4, on a GPU as many as its memory holds, at most 64.",
        minimum=1,
        maximum=65536,
        none="auto",
    )
    seed: int = parameter(
        0, "Seed of attacks and defenses that draw random numbers.", minimum=0, maximum=2**32 - 1
    )
    device: str = device_parameter()
