"""Parameters of ``rsparse evaluate`` that do not depend on what is evaluated."""

from __future__ import annotations

import dataclasses

from rsparse.options.device import attacked_together, device_parameter, seed_parameter
from rsparse.options.fields import Parameters, parameter
from rsparse.options.labels import only_correct_parameter, predicted_labels_parameter
from rsparse.options.sections import ATTACK, INPUT_OUTPUT


@dataclasses.dataclass(frozen=True)
class EvaluateParameters(Parameters):
    """How an evaluation runs, for any attacks and defenses."""

    only_correct: bool = only_correct_parameter()
    predicted_labels: bool = predicted_labels_parameter()
    max_images: int | None = parameter(
        None,
        "Largest number of images, taken evenly from the list of their names.",
        minimum=1,
        maximum=1_000_000_000,
        section=INPUT_OUTPUT,
    )
    extra_checks: bool = parameter(
        True,
        "Also run the attacks that only the checklist needs: noise, a huge eps, more steps, a "
        "search without gradients.",
        section=ATTACK,
        rare=True,
    )
    false_alarms: float = parameter(
        0.05,
        "Share of clean images like those of --detector that it may reject.",
        above=0,
        maximum=0.5,
        rare=True,
    )
    tolerance: float = parameter(
        2.0,
        "Factor by which the noise of clean images may exceed that of --detector's.",
        minimum=1,
        maximum=100,
        rare=True,
    )
    batch_size: int | None = attacked_together()
    seed: int = seed_parameter("Seed of attacks and defenses that use random numbers.")
    device: str = device_parameter()
