"""Parameters of ``rsparse evaluate`` that do not depend on what is evaluated."""

from __future__ import annotations

import dataclasses

from rsparse.options.device import device_parameter
from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class EvaluateParameters(Parameters):
    """How an evaluation runs, for any attacks and defenses."""

    only_correct: bool = parameter(
        True,
        "Use only the images that the undefended model gets right, as in the paper, or all images.",
        flag="--only-correct/--all-images",
    )
    predicted_labels: bool = parameter(
        False,
        "If the images have no labels, take the model's own predictions as the right classes.",
        flag="--predicted-labels",
    )
    max_images: int | None = parameter(
        None,
        "Largest number of images, taken evenly from the list of their names.",
        minimum=1,
        maximum=1_000_000_000,
    )
    extra_checks: bool = parameter(
        True,
        "Also run the attacks that only the checklist needs: noise, a huge eps, more steps, a "
        "search without gradients.",
    )
    false_alarms: float = parameter(
        0.05,
        "Share of clean images like those of --detector that it may reject.",
        above=0,
        maximum=0.5,
    )
    tolerance: float = parameter(
        2.0,
        "Factor by which the noise of clean images may exceed that of --detector's.",
        minimum=1,
        maximum=100,
    )
    batch_size: int | None = parameter(
        None,
        "Images attacked together; auto is 4 on a CPU, and on a GPU as many as fit in its memory, "
        "at most 64.",
        minimum=1,
        maximum=65536,
        none="auto",
    )
    seed: int = parameter(
        0, "Seed of attacks and defenses that use random numbers.", minimum=0, maximum=2**32 - 1
    )
    device: str = device_parameter()
