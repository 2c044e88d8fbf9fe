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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsparse.errors import InputError, reason
from rsparse.models.fields import Triple, check_fields, fields_from_json, flag_of

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

    size: tuple[int, int]
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    range: float = 1.0
    channels: str = "rgb"
    layout: str = "NCHW"
    class_offset: int = 0
    labels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, value in check_fields(dataclasses.asdict(self)).items():
            object.__setattr__(self, name, value)

    def as_record(self) -> dict[str, Any]:
        """The fields as plain JSON types."""
        record = dataclasses.asdict(self)
        for name in ("size", "mean", "std"):
            record[name] = list(record[name])
        record["labels"] = None if self.labels is None else list(self.labels)
        return record

    def to_json(self) -> str:
        """The JSON text of a sidecar or of the metadata, the same bytes for the same spec."""
        return json.dumps(self.as_record(), ensure_ascii=False)

    @staticmethod
    def from_json(text: str, where: str) -> InputSpec:
        """Read what ``to_json`` wrote; ``where`` names the source in messages."""
        return InputSpec(**fields_from_json(text, where))


FIELDS = tuple(field.name for field in dataclasses.fields(InputSpec))

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


@dataclass(frozen=True)
class InputOptions:
    """What the user says about a model's input; ``None`` leaves a field to the other sources."""

    preset: str | None = None
    size: tuple[int, int] | None = None
    mean: Triple | None = None
    std: Triple | None = None
    range: float | None = None
    channels: str | None = None
    layout: str | None = None
    class_offset: int | None = None
    labels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.preset is not None and self.preset not in PRESETS:
            raise InputError(f"preset: expected one of {', '.join(PRESETS)}, got {self.preset!r}")
        for name, value in check_fields(self.given()).items():
            object.__setattr__(self, name, value)

    def given(self) -> dict[str, Any]:
        """The fields of an ``InputSpec`` that are set."""
        values = {name: getattr(self, name) for name in FIELDS}
        return {name: value for name, value in values.items() if value is not None}


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
    values, sources = said_of_input(model, options)
    if not {"mean", "std", "range"} & sources.keys():
        raise InputError(
            f"{model.path}: does not say how it wants its input; pass --preset "
            f"({', '.join(PRESETS)}) or --mean, --std and --range, "
            "or write them into the file once with 'rsparse model tag'"
        )
    if "size" not in values:
        raise InputError(f"{model.path}: takes images of any size; say which with --size 224")
    for name in ("layout", "size"):
        _check_against_graph(model, name, values, sources)
    spec = InputSpec(**values)
    return spec, {name: sources.get(name, "default") for name in FIELDS}


def said_of_input(
    model: OnnxFile, options: InputOptions | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """What is said of a model's input, complete or not: values and their sources, by field."""
    options = options or InputOptions()
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, said in _said(model, options, model.fixed_input()):
        for name, value in said.items():
            if value is not None and name not in values:
                values[name] = value
                sources[name] = f"--{flag_of(name)}" if source == "option" else source
    return values, sources


def _said(
    model: OnnxFile, options: InputOptions, fixed: dict[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """What each source says, the strongest first."""
    said: list[tuple[str, dict[str, Any]]] = [("option", options.given())]
    if options.preset is not None:
        preset = dict(PRESETS[options.preset])
        if "size" in fixed:
            preset.pop("size", None)
        said.append((f"preset {options.preset}", preset))
    sidecar = model.path.with_name(model.path.name + SIDECAR_SUFFIX)
    if sidecar.is_file():
        said.append((f"sidecar {sidecar.name}", read_sidecar(sidecar)))
    if METADATA_KEY in model.metadata:
        where = f"{model.path}: metadata {METADATA_KEY}"
        said.append(("metadata", fields_from_json(model.metadata[METADATA_KEY], where)))
    said.append(("graph", fixed))
    return said


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
