"""What can be set in attacking, classifying, looking and judging, whatever attack or defense."""

from __future__ import annotations

import dataclasses

from rsparse.options.fields import Parameters, parameter


@dataclasses.dataclass(frozen=True)
class ClassifyParameters(Parameters):
    """Classification by an ONNX model."""

    top: int = parameter(5, "Most probable classes to report.", minimum=1, maximum=100_000)
    device: str = parameter(
        "cpu",
        "Where to compute: cpu, by onnxruntime; cuda, a GPU, by the graph's torch twin (of the "
        "extra attack); auto, cuda where there is one.",
    )
    batch_size: int = parameter(
        16,
        "Images that a GPU classifies together; the CPU takes one at a time.",
        minimum=1,
        maximum=65536,
    )


@dataclasses.dataclass(frozen=True)
class ActivationParameters(Parameters):
    """Activation visualization (the paper's Section III)."""

    gamma: float = parameter(
        0.0, "Threshold γ (eq. 7): detectors that respond no more than this do not count."
    )


@dataclasses.dataclass(frozen=True)
class AttentionParameters(Parameters):
    """Class activation maps (the paper's Section V-B)."""

    center: bool = parameter(
        True,
        "Weigh features for the class against the average class, or by its weights as they are, "
        "which a softmax leaves open by one vector common to all classes.",
    )
    opacity: float = parameter(
        0.5, "Share of the map's colours in the overlay.", minimum=0, maximum=1
    )
    cell: int = parameter(
        256, "Longer side of a picture in a panel, in pixels.", minimum=64, maximum=4096
    )


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
        False, "Also keep the images before rounding, as float32 in float.h5.", flag="--float"
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
    device: str = parameter(
        "auto", "Where torch computes: cpu, cuda, mps; auto is cuda where there is one."
    )


@dataclasses.dataclass(frozen=True)
class EvaluateParameters(Parameters):
    """How an evaluation is made, whatever is judged."""

    only_correct: bool = parameter(
        True,
        "Judge only the images that the undefended model gets right, as the paper does, or all.",
        flag="--only-correct/--all-images",
    )
    limit: int | None = parameter(
        None,
        "At most so many images, evenly from the list of their names.",
        minimum=1,
        maximum=1_000_000_000,
    )
    checks: bool = parameter(
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
    device: str = parameter(
        "auto",
        "Where torch computes the attacks: cpu, cuda, mps; auto is cuda where there is one. A GPU "
        "of CUDA's also judges, and runs RegionSparse and ComDefend.",
    )


@dataclasses.dataclass(frozen=True)
class ReportParameters(Parameters):
    """How much a report shows."""

    pictures: int = parameter(
        8, "Images in each contact sheet, one sheet for each kind of attack.", minimum=1, maximum=60
    )
    panels: int = parameter(4, "Images whose attention is shown.", minimum=1, maximum=60)
    measured: int = parameter(
        24, "Images whose activation by layer is measured.", minimum=1, maximum=100_000
    )
