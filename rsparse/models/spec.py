"""How a classifier wants its input, and where that is said.

A network sees ``(pixel / 255 · range − mean) / std`` of a whole image resized to ``size``. An
ONNX file does not say these numbers by itself; they come, field by field, from the first of:
options, a preset, a sidecar ``model.onnx.json``, metadata inside the file, and what the graph
itself fixes.

This module imports nothing heavy, so that ``--help`` stays quick.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsparse.errors import InputError, reason
from rsparse.models import fields
from rsparse.models.fields import checked_fields, input_field, option_of, read_value

if TYPE_CHECKING:
    from rsparse.models.onnx.file import OnnxFile

METADATA_KEY = "rsparse.input"
SIDECAR_SUFFIX = ".json"


@dataclass(frozen=True)
class InputSpec:
    """What a classifier wants as input and how its outputs count.

    Attributes
    ----------
    size : (int, int)
        Height and width that images are resized to.
    mean, std : three floats each
        Subtracted from and divided into the scaled channels, in the network's channel order.
    range : float
        What a white pixel is before ``mean`` and ``std``: 1 or 255 in most networks.
    channels : {"rgb", "bgr"}
        Order of the colour channels.
    layout : {"NCHW", "NHWC"}
        Order of the axes of the input tensor.
    class_offset : int
        Leading outputs that are no class: 1 for networks with a background class in front.
    labels : tuple of str or None
        Names of the classes, in order, after ``class_offset``.
    """

    size: tuple[int, int] = input_field(
        help="Size that images are resized to: 299, or height x width as in 224x320.",
        check=fields.check_size,
        parse=fields.parse_size,
        option="input-size",
        metavar="SIDE|HxW",
    )
    mean: tuple[float, float, float] = input_field(
        (0.0, 0.0, 0.0),
        "Subtracted from the scaled channels: one number, or three with commas between.",
        check=fields.check_triple,
        parse=fields.parse_triple,
        metavar="X|R,G,B",
    )
    std: tuple[float, float, float] = input_field(
        (1.0, 1.0, 1.0),
        "The channels are divided by it after that: one number, or three with commas between.",
        check=fields.check_positive_triple,
        parse=fields.parse_triple,
        metavar="X|R,G,B",
    )
    range: float = input_field(
        1.0,
        "Value of white before mean and std: 1 or 255; black is 0.",
        check=fields.check_range,
        parse=fields.parse_number,
        option="input-range",
        metavar="X",
    )
    channels: str = input_field(
        "rgb",
        "Order of the channels; mean and std follow it.",
        check=fields.check_channels,
        parse=fields.parse_channels,
        metavar="rgb|bgr",
    )
    layout: str = input_field(
        "NCHW",
        "Order of the axes.",
        check=fields.check_layout,
        parse=fields.parse_layout,
        metavar="NCHW|NHWC",
    )
    class_offset: int = input_field(
        0,
        "Leading outputs that are no class; 1 for a background class.",
        check=fields.check_offset,
        parse=fields.parse_offset,
        metavar="N",
    )
    labels: tuple[str, ...] | None = input_field(
        None,
        "Text file of class names, one a line.",
        check=fields.check_labels,
        parse=fields.parse_class_names,
        option="class-names",
        metavar="FILE",
    )

    def __post_init__(self) -> None:
        for name, value in checked_fields(INPUT_FIELDS, vars(self)).items():
            object.__setattr__(self, name, value)

    def as_record(self) -> dict[str, Any]:
        """The fields as plain JSON types."""
        values = ((name, getattr(self, name)) for name in INPUT_FIELDS)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values}

    def to_json(self) -> str:
        """The JSON text of a sidecar or of the metadata, the same bytes for the same spec."""
        return json.dumps(self.as_record(), ensure_ascii=False)

    @staticmethod
    def from_json(text: str, where: str) -> InputSpec:
        """Read what ``to_json`` wrote; ``where`` names the source in messages."""
        return InputSpec(**fields_from_json(text, where))


INPUT_FIELDS = {field.name: field for field in dataclasses.fields(InputSpec)}

_HALF = (0.5, 0.5, 0.5)
PRESETS: dict[str, dict[str, Any]] = {
    "inception-v3": {"size": (299, 299), "mean": _HALF, "std": _HALF, "range": 1.0},
    "mobilenet-v2": {"size": (224, 224), "mean": _HALF, "std": _HALF, "range": 1.0},
    "imagenet-torch": {
        "size": (224, 224),
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "range": 1.0,
    },
    "unit": {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "range": 1.0},
}
"""Conventions by name. A preset's size yields to a graph that fixes its own."""


@dataclass(frozen=True, init=False)
class InputOptions:
    """What the user says about a model's input; what is left out comes from the other sources.

    Parameters
    ----------
    preset : str, optional
        One of ``PRESETS``.
    **values
        Fields of ``InputSpec``; None leaves one out.

    Raises
    ------
    InputError
        If the preset is unknown, or a value is of another type or out of range.
    """

    preset: str | None
    values: tuple[tuple[str, Any], ...]

    def __init__(self, preset: str | None = None, **values: Any) -> None:
        if preset is not None and not (isinstance(preset, str) and preset in PRESETS):
            raise InputError(f"preset: expected one of {', '.join(PRESETS)}, got {preset!r}")
        unknown = values.keys() - INPUT_FIELDS.keys()
        if unknown:
            raise TypeError(f"a model's input has no field {', '.join(sorted(unknown))}")
        given = {name: values[name] for name in INPUT_FIELDS if values.get(name) is not None}
        object.__setattr__(self, "preset", preset)
        object.__setattr__(self, "values", tuple(checked_fields(INPUT_FIELDS, given).items()))

    def given(self) -> dict[str, Any]:
        """The fields of an ``InputSpec`` that are set."""
        return dict(self.values)

    def options(self) -> list[str]:
        """The names of the options that set them, without dashes in front."""
        first = ["preset"] if self.preset is not None else []
        return first + [option_of(INPUT_FIELDS[name]) for name, _ in self.values]


INPUT_OPTIONS = ("preset", *map(option_of, INPUT_FIELDS.values()))
"""What sets a model's input on a command line, in a plan and in a scenario's spec."""


def read_input_options(values: Mapping[str, Any], folder: Path = Path()) -> InputOptions:
    """What is said of a model's input on a command line, in a plan or in a spec.

    Parameters
    ----------
    values : mapping of str to text or value of TOML
        By names of ``INPUT_OPTIONS``; None leaves one out.
    folder : Path
        Where the paths in them start.

    Raises
    ------
    InputError
        If a value cannot be read or is out of range.
    """
    by_option = {option_of(field): field for field in INPUT_FIELDS.values()}
    given = {name: value for name, value in values.items() if value is not None}
    preset = given.pop("preset", None)
    read = {
        by_option[name].name: read_value(by_option[name], value, folder)
        for name, value in given.items()
    }
    return InputOptions(preset, **read)


def resolve_input_spec(
    model: Path | OnnxFile, options: InputOptions | None = None
) -> tuple[InputSpec, dict[str, str]]:
    """What the model of an ONNX file wants as input, and where each field was said.

    Parameters
    ----------
    model : Path or OnnxFile
        The file.
    options : InputOptions, optional
        What the user says; it goes before everything else.

    Returns
    -------
    spec : InputSpec
    sources : dict
        For each field one of ``--mean``, ``preset unit``, ``sidecar model.onnx.json``,
        ``metadata``, ``graph``, ``default``.

    Raises
    ------
    InputError
        If nothing says how pixels are scaled, if no size is known, or if a value contradicts
        the graph.
    """
    if isinstance(model, Path):
        from rsparse.models.onnx.file import load_onnx

        model = load_onnx(model)
    values, sources = known_of_input(model, options)
    if not {"mean", "std", "range"} & sources.keys():
        raise InputError(
            f"{model.path}: does not say how it wants its input; pass --preset "
            f"({', '.join(PRESETS)}) or --mean, --std and --input-range, "
            "or write them into the file once with 'rsparse model tag'"
        )
    if "size" not in values:
        raise InputError(f"{model.path}: takes images of any size; say which with --input-size 224")
    for name in ("layout", "size"):
        _check_against_graph(model, name, values, sources)
    spec = InputSpec(**values)
    return spec, {name: sources.get(name, "default") for name in INPUT_FIELDS}


def known_of_input(
    model: OnnxFile, options: InputOptions | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """What is known of a model's input, complete or not: values and their sources, by field."""
    options = options or InputOptions()
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, statements in _statements(model, options, model.fixed_input()):
        for name, value in statements.items():
            if value is not None and name not in values:
                values[name] = value
                is_option = source == "option"
                sources[name] = f"--{option_of(INPUT_FIELDS[name])}" if is_option else source
    return values, sources


def _statements(
    model: OnnxFile, options: InputOptions, fixed: dict[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """What each source says, the strongest first."""
    statements: list[tuple[str, dict[str, Any]]] = [("option", options.given())]
    if options.preset is not None:
        preset = dict(PRESETS[options.preset])
        if "size" in fixed:
            preset.pop("size", None)
        statements.append((f"preset {options.preset}", preset))
    sidecar = model.path.with_name(model.path.name + SIDECAR_SUFFIX)
    if sidecar.is_file():
        statements.append((f"sidecar {sidecar.name}", read_sidecar(sidecar)))
    if METADATA_KEY in model.metadata:
        where = f"{model.path}: metadata {METADATA_KEY}"
        statements.append(("metadata", fields_from_json(model.metadata[METADATA_KEY], where)))
    statements.append(("graph", fixed))
    return statements


def _check_against_graph(
    model: OnnxFile, name: str, values: dict[str, Any], sources: dict[str, str]
) -> None:
    fixed = model.fixed_input(values.get("layout"))
    if name in fixed and tuple(fixed[name]) != tuple(values[name]):
        raise InputError(
            f"{model.path}: takes {_spelled(fixed[name])} input, "
            f"but {sources[name]} says {_spelled(values[name])}"
        )


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else "×".join(str(side) for side in value)


def read_sidecar(path: Path) -> dict[str, Any]:
    """The fields of a sidecar file."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not JSON") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from error
    return fields_from_json(text, str(path))


def fields_from_json(text: str, where: str) -> dict[str, Any]:
    """The checked fields of a spec in JSON; those it does not name are left out."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: is not JSON") from error
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a JSON object")
    unknown = sorted(content.keys() - INPUT_FIELDS.keys())
    if unknown:
        raise InputError(
            f"{where}: unknown field {unknown[0]!r}; expected some of {', '.join(INPUT_FIELDS)}"
        )
    values = {name: value for name, value in content.items() if value is not None}
    try:
        return checked_fields(INPUT_FIELDS, values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
