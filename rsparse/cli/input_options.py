"""The options on a model's input, in all commands that run a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rsparse.models.fields import parse_size, parse_triple, read_class_names
from rsparse.models.spec import PRESETS, InputOptions

_TEXT = str | None
_FIELDS: dict[str, tuple[Any, str]] = {
    "preset": (_TEXT, f"How the model wants its input, by convention: {', '.join(PRESETS)}."),
    "size": (_TEXT, "Size of its input: 299, or height x width as in 224x320."),
    "mean": (_TEXT, "Subtracted from the scaled channels: one number, or three with commas."),
    "std": (_TEXT, "Divided into them after that: one number, or three with commas."),
    "range": (float | None, "What white is before mean and std: 1 or 255."),
    "channels": (_TEXT, "Order of the channels: rgb or bgr; mean and std follow it."),
    "layout": (_TEXT, "Order of the axes: NCHW or NHWC."),
    "class_offset": (
        int | None,
        "Leading outputs that are no class; 1 for a background class.",
    ),
    "class_names": (Path | None, "Text file of class names, one a line."),
}


def _spelled(name: str, kind: Any, help_text: str) -> Any:
    option = typer.Option(f"--{name.replace('_', '-')}", help=help_text, show_default=False)
    return Annotated[kind, option]


def input_options_from(
    *,
    preset: str | None = None,
    size: str | None = None,
    mean: str | None = None,
    std: str | None = None,
    range: float | None = None,
    channels: str | None = None,
    layout: str | None = None,
    class_offset: int | None = None,
    class_names: Path | None = None,
) -> InputOptions:
    """``InputOptions`` from what was typed.

    Raises
    ------
    InputError
        If a value cannot be read or is out of range.
    """
    return InputOptions(
        preset=preset,
        size=None if size is None else parse_size(size),
        mean=None if mean is None else parse_triple("mean", mean),
        std=None if std is None else parse_triple("std", std),
        range=range,
        channels=None if channels is None else channels.lower(),
        layout=None if layout is None else layout.upper(),
        class_offset=class_offset,
        labels=None if class_names is None else read_class_names(class_names),
    )


INPUT_OPTIONS = {name: _spelled(name, *field) for name, field in _FIELDS.items()}
