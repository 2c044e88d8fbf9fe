"""Parameters of ``rsparse attack`` that do not depend on the attack."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from rsparse.options.device import attacked_together, device_parameter, seed_parameter
from rsparse.options.fields import Parameters, parameter
from rsparse.options.labels import only_correct_parameter, predicted_labels_parameter
from rsparse.options.sections import ATTACK

BACKWARD_NAMES = ("atoms", "supports", "smooth", "identity")
"""The backwards that a defense may have, the strongest first."""


@dataclasses.dataclass(frozen=True)
class AttackRunParameters(Parameters):
    """How a folder is attacked, for any attack."""

    section: ClassVar[str] = ATTACK

    only_correct: bool = only_correct_parameter()
    predicted_labels: bool = predicted_labels_parameter()
    keep_size: bool = parameter(
        False,
        "Attack images at their own size, through the model's resizing; the default resizes them "
        "to the model's input size first.",
        flag="--keep-size",
    )
    keep_float: bool = parameter(
        False,
        "Also save the images before rounding, as float32 in float.h5.",
        flag="--keep-float",
        rare=True,
    )
    batch_size: int | None = attacked_together()
    seed: int = seed_parameter("Seed of attacks that use random numbers.", rare=False)
    device: str = device_parameter()


@dataclasses.dataclass(frozen=True)
class BackwardChoice(Parameters):
    """How an attack differentiates a defense that it attacks through."""

    section: ClassVar[str] = ATTACK

    backward: str | None = parameter(
        None,
        "What stands for the defense's derivative: the projection onto more atoms, the chosen "
        "atoms held, a published smooth substitute, or the identity; strongest is the first of "
        "these that the defense has.",
        choices=BACKWARD_NAMES,
        none="strongest",
        rare=True,
    )
    draws: int = parameter(
        4,
        "Draws of a random defense over which the gradient is averaged.",
        minimum=1,
        maximum=1000,
        rare=True,
    )
