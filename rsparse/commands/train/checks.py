"""Checks before a training: missing packages, conflicting options, existing outputs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from rsparse.errors import InputError, missing_package
from rsparse.options.labels import LabelOptions
from rsparse.options.train import TrainParameters
from rsparse.store.files import refuse_existing, require_suffix
from rsparse.store.folders import refuse_overlap


def require_training() -> None:
    """Check that torch and safetensors are installed.

    Raises
    ------
    InputError
        If one of them is missing.
    """
    for name in ("torch", "safetensors"):
        if find_spec(name) is None:
            raise missing_package("training needs", name, "train")


def refuse_contradictions(parameters: TrainParameters, labels: LabelOptions) -> None:
    """Refuse options that cannot be used together.

    Raises
    ------
    InputError
    """
    if parameters.distill and labels.file is not None:
        raise InputError("--labels and --distill cannot be used together; give one of them")
    if parameters.distill and parameters.train_on == "clean":
        raise InputError(
            "--distill and --train-on clean cannot be used together: on clean images the model "
            "already gives its own outputs"
        )
    if parameters.adversarial_share is not None and parameters.train_on != "both":
        raise InputError(
            "--adversarial-share: only works with --train-on both, which uses purified and "
            f"adversarial images, got --train-on {parameters.train_on}"
        )
    if parameters.is_noisy and parameters.noise is None:
        raise InputError("--train-on noisy needs the strength of the noise: --noise 0.12")
    if parameters.noise is not None and not parameters.is_noisy:
        raise InputError(
            f"--noise cannot be used with --train-on {parameters.train_on}, which shows no noisy "
            "images"
        )
    if parameters.clean_share == 1 and parameters.train_on != "clean":
        raise InputError(
            f"--clean-share: expected less than 1 with --train-on {parameters.train_on}, got 1"
        )


def check_outputs(output: Path, plot: Path | None, inputs: Sequence[Path], overwrite: bool) -> None:
    """Refuse outputs that have another suffix, exist, or overlap with the inputs.

    Raises
    ------
    InputError
    """
    require_suffix(output, ".onnx")
    if plot is not None:
        require_suffix(plot, ".png")
    outputs = [output, *([plot] if plot is not None else [])]
    for path in outputs:
        refuse_existing(path, overwrite)
        refuse_overlap(path, inputs)
