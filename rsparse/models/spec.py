"""The input that a classifier expects: its fields, presets and command-line options.

A network sees ``(pixel / 255 · range − mean) / std`` of a whole image resized to ``size``. An
ONNX file does not contain these numbers; ``models/input_sources.py`` finds them.

This module imports nothing heavy, so that ``--help`` stays fast.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.models import fields
from rsparse.models.fields import checked_fields, input_field, option_of, read_value
from rsparse.models.fit import Fit

LUMA = (0.299, 0.587, 0.114)
"""The shares of red, green and blue in grey (ITU-R BT.601), as in Pillow's mode L."""


@dataclass(frozen=True)
class InputSpec:
    """The input that a classifier expects, and the meaning of its outputs.

    Attributes
    ----------
    size : (int, int)
        Height and width to which images are resized.
    mean, std : three floats each
        The network sees ``(x − mean) / std`` of the scaled channels, in its own channel order.
    range : float
        The value of a white pixel before ``mean`` and ``std``: 1 or 255 in most networks.
    channels : {"rgb", "bgr", "grey"}
        Order of the colour channels, or one channel: 0.299 R + 0.587 G + 0.114 B.
    layout : {"NCHW", "NHWC"}
        Order of the axes of the input tensor.
    class_offset : int
        Number of leading outputs that are not classes: 1 if the first is a background class.
    labels : tuple of str or None
        Names of the classes, in order, after ``class_offset``.
    resize : str
        ``squash`` resizes the whole image to ``size``. ``crop:SHARE`` resizes its shorter side to
        the side of the input divided by SHARE, and keeps the centre. Both leave an image of the
        input's size as it is.
    scores : str or None
        The output with the class scores, for a graph with several.
    score_type : {"logits", "probabilities", "sigmoids"} or None
        What the outputs of the file are: logits; probabilities of the classes; or sigmoids, each
        the probability of one class for itself. ``None`` if it is not known yet.
    """

    size: tuple[int, int] = input_field(
        help="Size to which images are resized: 299, or height x width as in 224x320.",
        check=fields.check_size,
        parse=fields.parse_size,
        option="input-size",
        metavar="SIDE|HxW",
    )
    mean: tuple[float, float, float] = input_field(
        (0.0, 0.0, 0.0),
        "Mean to subtract from the scaled channels: one number, or three separated by commas.",
        check=fields.check_triple,
        parse=fields.parse_triple,
        metavar="X|R,G,B",
    )
    std: tuple[float, float, float] = input_field(
        (1.0, 1.0, 1.0),
        "Standard deviation to divide the channels by after that: one number, or three separated "
        "by commas.",
        check=fields.check_positive_triple,
        parse=fields.parse_triple,
        metavar="X|R,G,B",
    )
    range: float = input_field(
        1.0,
        "Value of a white pixel before mean and std, usually 1 or 255; black is 0.",
        check=fields.check_range,
        parse=fields.parse_number,
        option="input-range",
        metavar="X",
    )
    channels: str = input_field(
        "rgb",
        "Order of the colour channels, of which mean and std have the same; or grey.",
        check=fields.check_channels,
        parse=fields.parse_lower,
        metavar="rgb|bgr|grey",
    )
    layout: str = input_field(
        "NCHW",
        "Order of the axes of the input tensor.",
        check=fields.check_layout,
        parse=fields.parse_layout,
        metavar="NCHW|NHWC",
    )
    class_offset: int = input_field(
        0,
        "Number of leading outputs that are not classes; 1 for a background class.",
        check=fields.check_offset,
        parse=fields.parse_offset,
        metavar="N",
    )
    labels: tuple[str, ...] | None = input_field(
        None,
        "File with the class names: a text with one per line, or a JSON list or object.",
        check=fields.check_labels,
        parse=fields.parse_class_names,
        option="class-names",
        metavar="FILE",
    )
    resize: str = input_field(
        fields.SQUASH,
        "How images of other sizes become the input: squash resizes the whole image; crop:SHARE "
        "resizes its shorter side to the input's side divided by SHARE and keeps the centre.",
        check=fields.check_resize,
        parse=fields.parse_lower,
        metavar="squash|crop:SHARE",
    )
    scores: str | None = input_field(
        None,
        "Output that holds the class scores, for a model with several.",
        check=fields.check_name,
        parse=fields.parse_text,
        metavar="NAME",
    )
    score_type: str | None = input_field(
        None,
        "What the outputs are. By default, the graph says it, or how they behave on two images.",
        check=fields.check_score_type,
        parse=fields.parse_lower,
        metavar="logits|probabilities|sigmoids",
    )

    def __post_init__(self) -> None:
        for name, value in checked_fields(INPUT_FIELDS, vars(self)).items():
            object.__setattr__(self, name, value)
        if self.channels == "grey" and len({*self.mean}) + len({*self.std}) > 2:
            raise InputError(
                "mean, std: expected one number each for a grey image, got "
                f"{list(self.mean)} and {list(self.std)}"
            )

    @property
    def fit(self) -> Fit:
        """How images of any size become the input."""
        return Fit(self.size, fields.crop_share(self.resize))

    @property
    def channel_mean(self) -> tuple[float, ...]:
        """``mean``, one number for each channel of the input."""
        return self.mean[:1] if self.channels == "grey" else self.mean

    @property
    def channel_std(self) -> tuple[float, ...]:
        """``std``, one number for each channel of the input."""
        return self.std[:1] if self.channels == "grey" else self.std

    def as_record(self) -> dict[str, Any]:
        """The fields as plain JSON types."""
        values = ((name, getattr(self, name)) for name in INPUT_FIELDS)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values}

    def to_json(self) -> str:
        """The JSON text for a sidecar or the metadata; equal specs give equal bytes."""
        return json.dumps(self.as_record(), ensure_ascii=False)

    @staticmethod
    def from_json(text: str, where: str) -> InputSpec:
        """Parse the output of ``to_json``; ``where`` names the source in messages."""
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
        "resize": "crop:0.875",
    },
    "unit": {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "range": 1.0},
}
"""Conventions by name. If the graph fixes a size, it takes precedence over the preset's."""


@dataclass(frozen=True, init=False)
class InputOptions:
    """The user's options for a model's input; all other fields come from the other sources.

    Parameters
    ----------
    preset : str, optional
        One of ``PRESETS``.
    **values
        Fields of ``InputSpec``; None leaves a field unset.

    Raises
    ------
    InputError
        If the preset is unknown, or a value has the wrong type or is out of range.
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
        """The names of the given options, without leading dashes."""
        first = ["preset"] if self.preset is not None else []
        return first + [option_of(INPUT_FIELDS[name]) for name, _ in self.values]


INPUT_OPTIONS = ("preset", *map(option_of, INPUT_FIELDS.values()))
"""The options for a model's input on the command line, in a plan and in a scenario's spec."""


def read_input_options(values: Mapping[str, Any], folder: Path = Path()) -> InputOptions:
    """Parse the options for a model's input on the command line, in a plan or in a spec.

    Parameters
    ----------
    values : mapping of str to text or value of TOML
        Values by the names of ``INPUT_OPTIONS``; None leaves an option unset.
    folder : Path
        The base of relative paths in the values.

    Raises
    ------
    InputError
        If a value is invalid or out of range.
    """
    by_option = {option_of(field): field for field in INPUT_FIELDS.values()}
    given = {name: value for name, value in values.items() if value is not None}
    preset = given.pop("preset", None)
    read = {
        by_option[name].name: read_value(by_option[name], value, folder)
        for name, value in given.items()
    }
    return InputOptions(preset, **read)


def fields_from_json(text: str, where: str) -> dict[str, Any]:
    """The checked fields of a spec in JSON, without the fields that it does not name."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: is not JSON") from error
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a JSON object")
    unknown = sorted(content.keys() - INPUT_FIELDS.keys())
    if unknown:
        raise InputError(f"{where}: unknown field {unknown[0]!r}; known: {', '.join(INPUT_FIELDS)}")
    values = {name: value for name, value in content.items() if value is not None}
    try:
        return checked_fields(INPUT_FIELDS, values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
