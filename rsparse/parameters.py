"""What can be set: one frozen dataclass per stage, attack and defense.

Such a dataclass is at once the defaults (written once), the validation, the command-line
options, the test id (``repr``) and the provenance (``as_record``). This module imports nothing
heavy, so that ``--help`` stays quick.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rsparse.errors import InputError


def parameter(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    odd: bool = False,
    choices: Sequence[str] | None = None,
    flag: str | None = None,
    none: str = "none",
) -> Any:
    """A dataclass field with its range, its help text and, for a switch, its option names.

    ``above`` is an exclusive lower bound; ``minimum`` and ``maximum`` are inclusive. ``flag``
    overrides the names of the command-line option (``"--color/--grey"``). ``none`` is how a value
    of None is spelled.
    """
    metadata = {
        "help": help,
        "minimum": minimum,
        "maximum": maximum,
        "above": above,
        "odd": odd,
        "choices": choices,
        "flag": flag,
        "none": none,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Base of all parameter sets: checks every field when it is made.

    Raises
    ------
    InputError
        If a value is of the wrong type or outside its range.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = _checked(field, getattr(self, field.name))
            object.__setattr__(self, field.name, value)

    def as_record(self) -> dict[str, Any]:
        """The values as plain JSON types, for an artifact's record."""
        return dataclasses.asdict(self)


def field_type(field: dataclasses.Field[Any]) -> type:
    """The plain type (bool, int, float or str) behind a field's annotation."""
    annotation = str(field.type)
    for name, kind in (("bool", bool), ("int", int), ("float", float), ("str", str)):
        if annotation.split(" | ")[0] == name:
            return kind
    raise TypeError(f"{field.name}: {annotation} cannot be a parameter")


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    """``value`` in the field's type, or an ``InputError`` that says what was expected."""
    if value is None and "None" in str(field.type):
        return None
    kind = field_type(field)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    name = field.name.replace("_", "-")
    right_type = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not right_type or not _in_range(field, value):
        raise InputError(f"{name}: expected {describe(field)}, got {value!r}")
    return value


def _in_range(field: dataclasses.Field[Any], value: Any) -> bool:
    rules = field.metadata
    if rules.get("choices") is not None and value not in rules["choices"]:
        return False
    if isinstance(value, (bool, str)):
        return True
    return (
        value == value
        and abs(value) != float("inf")
        and (rules.get("minimum") is None or value >= rules["minimum"])
        and (rules.get("maximum") is None or value <= rules["maximum"])
        and (rules.get("above") is None or value > rules["above"])
        and (not rules.get("odd") or value % 2 == 1)
    )


def _spelled(bound: float | None) -> str | None:
    if bound is None or isinstance(bound, int):
        return None if bound is None else str(bound)
    return f"{bound:g}"


def describe(field: dataclasses.Field[Any]) -> str:
    """What a field takes, in words: ``a whole number from 0 to 255``."""
    none = field.metadata.get("none", "none")
    return _described(field) + (f", or {none}" if none != "none" else "")


def _described(field: dataclasses.Field[Any]) -> str:
    rules = field.metadata
    if rules.get("choices") is not None:
        return "one of " + ", ".join(rules["choices"])
    kinds: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number"}
    text = kinds.get(field_type(field), "a text")
    if rules.get("odd"):
        text = "an odd whole number"
    low, high, above = (_spelled(rules.get(key)) for key in ("minimum", "maximum", "above"))
    if above is not None:
        return f"{text} above {above}" + (f" up to {high}" if high is not None else "")
    if low is not None and high is not None:
        return f"{text} from {low} to {high}"
    if low is not None:
        return f"{text} of {low} or more"
    if high is not None:
        return f"{text} of {high} or less"
    return text


@dataclasses.dataclass(frozen=True)
class LearnParameters(Parameters):
    """Dictionary learning (the paper's Section IV-B)."""

    patch_size: int = parameter(8, "Side b of a patch in pixels.", minimum=2, maximum=64)
    color: bool = parameter(
        True, "Learn colour patches (b·b·3 numbers) or grey ones (b·b).", flag="--color/--grey"
    )
    n_atoms: int = parameter(256, "Number of atoms k in the dictionary.", minimum=2, maximum=65536)
    patches_per_image: int = parameter(
        300, "Random patches n taken from each image.", minimum=1, maximum=1_000_000
    )
    smoothing: bool = parameter(True, "Smooth each image by non-local means before taking patches.")
    smoothing_h: float = parameter(
        10.0, "Strength h of the smoothing (eq. 16), in grey levels.", above=0, maximum=255
    )
    smoothing_template: int = parameter(
        7, "Side of the patches that the smoothing compares.", minimum=1, maximum=31, odd=True
    )
    smoothing_search: int = parameter(
        21, "Side of the window that the smoothing searches.", minimum=1, maximum=99, odd=True
    )
    normalize: bool = parameter(
        True, "Standardise each dimension over the patches of one image (eq. 17)."
    )
    training: bool = parameter(
        True,
        "Learn the atoms, or keep overcomplete cosines (DCT) that no image has taught.",
    )
    coder: str = parameter(
        "omp",
        "How patches are coded while learning: omp, as purifying does; "
        "lars or cd, under the l1 penalty of eq. (20), by scikit-learn, many times slower.",
        choices=("omp", "lars", "cd"),
    )
    atoms_per_patch: int = parameter(
        5, "Atoms K that code a patch while learning by omp.", minimum=1, maximum=64
    )
    penalty: float = parameter(
        6.0, "Weight β of the l1 norm while learning by lars or cd.", above=0, maximum=1e6
    )
    batch_size: int = parameter(512, "Patches in one learning step.", minimum=1, maximum=1_000_000)
    passes: int = parameter(1, "Times the folder is gone through.", minimum=1, maximum=1000)
    max_coherence: float = parameter(
        0.98,
        "Atoms whose inner product with another exceeds this are replaced.",
        above=0,
        maximum=1,
    )
    held_out: float = parameter(
        0.1, "Share of each image's patches kept to measure the error.", minimum=0, maximum=0.9
    )
    levels: str = parameter(
        "",
        "How purify --sparsity auto chooses by the noise in an image, in grey levels: "
        "region:8<0.4,whole:2<1.6,whole:1 codes the object region with K = 8 below 0.4, the whole "
        "image with K = 2 below 1.6, with K = 1 above.",
    )
    seed: int = parameter(0, "Seed of all random choices.", minimum=0, maximum=2**32 - 1)


@dataclasses.dataclass(frozen=True)
class LocalizeParameters(Parameters):
    """Object localization (the paper's Section IV-C a)."""

    gradient: str = parameter(
        "sobel", "Operator for the gradients Gx and Gy.", choices=("sobel", "scharr")
    )
    difference: str = parameter(
        "signed",
        "signed: |Gx − Gy|, as the recipe's code does; "
        "horizontal: |Gx| − |Gy| where positive, as the paper's sentence says.",
        choices=("signed", "horizontal"),
    )
    blur: int = parameter(9, "Side of the box blur before thresholding.", minimum=1, maximum=99)
    threshold: int = parameter(
        90, "Grey level above which a pixel counts as object.", minimum=0, maximum=254
    )
    otsu: bool = parameter(False, "Choose the threshold of each image by Otsu's method.")
    closing: int = parameter(
        25, "Side of the square that closes gaps between edges.", minimum=1, maximum=999
    )
    rounds: int = parameter(
        4, "3×3 erosions, then as many dilations, that drop specks.", minimum=0, maximum=100
    )
    contours: str = parameter(
        "largest", "Which outlines become the object region.", choices=("largest", "all")
    )
    fallback: str = parameter(
        "whole",
        "Region of an image in which nothing is found: the whole image, its central quarter, "
        "or nothing.",
        choices=("whole", "center", "none"),
    )
    working_size: int = parameter(
        299,
        "Images whose longer side exceeds this are searched at this size, since the other "
        "values are in pixels; 0 searches at full size.",
        minimum=0,
        maximum=65536,
    )


@dataclasses.dataclass(frozen=True)
class PurifyParameters(Parameters):
    """RegionSparse coding (the paper's Section IV-C)."""

    sparsity: int | None = parameter(
        None,
        "Atoms K per patch; fewer remove more, of the attack and of the image. auto: by the noise "
        "in each image, as the dictionary's levels say, or 2 where it has none.",
        minimum=1,
        maximum=1024,
        none="auto",
    )
    stride: int = parameter(
        2, "Pixels between neighbouring patches; 1 is best and slowest.", minimum=1, maximum=64
    )
    localize: bool = parameter(True, "Code the object region only, or the whole image.")
    background: bool = parameter(
        True, "Filter what is outside the object region, or leave it as it is."
    )
    bilateral_diameter: int = parameter(
        9, "Diameter of the background's bilateral filter.", minimum=1, maximum=99
    )
    bilateral_sigma_color: float = parameter(
        80.0, "Its tolerance between colours, in grey levels.", above=0, maximum=1000
    )
    bilateral_sigma_space: float = parameter(
        80.0, "Its reach in pixels, within the diameter.", above=0, maximum=1000
    )
    feather: float = parameter(
        2.0, "Softness of the region's border in pixels; 0 cuts hard.", minimum=0, maximum=256
    )


@dataclasses.dataclass(frozen=True)
class PurifyRunParameters(Parameters):
    """How a folder is purified, whatever the parameters."""

    device: str = parameter(
        "cpu",
        "Where to compute: cpu; cuda, a GPU through torch (of the extra attack); auto, cuda where "
        "there is one.",
    )
    batch_size: int = parameter(
        16, "Images that a GPU purifies together; the CPU takes one at a time.", minimum=1,
        maximum=65536,
    )  # fmt: skip
    seed: int = parameter(
        0, "Seed of defenses that draw random numbers.", minimum=0, maximum=2**32 - 1
    )


@dataclasses.dataclass(frozen=True)
class ClassifyParameters(Parameters):
    """Classification by an ONNX model."""

    top: int = parameter(5, "Most probable classes to report.", minimum=1, maximum=100_000)


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
        False, "Attack only what the model classifies correctly, as the paper does.",
        flag="--only-correct",
    )  # fmt: skip
    keep_size: bool = parameter(
        False,
        "Attack images at their own size, through the model's resizing; without it they are "
        "first fitted to the model's input size.",
        flag="--keep-size",
    )
    keep_float: bool = parameter(
        False, "Also keep the images before rounding, as float32 in float.h5.", flag="--float"
    )
    batch_size: int = parameter(
        4, "Images attacked together; more suit a GPU.", minimum=1, maximum=65536
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
        None, "At most so many images, evenly from the list of their names.", minimum=1,
        maximum=1_000_000_000,
    )  # fmt: skip
    checks: bool = parameter(
        True, "Also run the extra attacks that the checklist needs: noise, a huge eps, more steps."
    )
    batch_size: int = parameter(
        4, "Images attacked together; more suit a GPU.", minimum=1, maximum=65536
    )
    seed: int = parameter(
        0, "Seed of attacks and defenses that draw random numbers.", minimum=0, maximum=2**32 - 1
    )
    device: str = parameter(
        "auto", "Where torch computes the attacks: cpu, cuda, mps; auto is cuda where there is one."
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
