"""The options of all commands that run a classifier: which one, and how it wants its input."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from rsparse.models.fields import parse_size, parse_triple, read_class_names
from rsparse.models.spec import PRESETS, SpecOptions

Model = Annotated[
    Path, typer.Option("--model", "-m", help="The classifier, an ONNX file.", show_default=False)
]

_TEXT = str | None
_SPELLED: dict[str, tuple[Any, str]] = {
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


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options on a model's input in place of its argument ``wants``.

    The function gets them as one ``SpecOptions``. What is not said here is found in the model's
    sidecar or in the file itself.
    """

    @functools.wraps(function)
    def command(**options: Any) -> Any:
        said = {name: options.pop(name) for name in _SPELLED}
        return function(**options, wants=spec_options(**said))

    signature = inspect.signature(function, eval_str=True)
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.name != "wants"
    ]
    parameters = [*kept, *(_option(name, *spelled) for name, spelled in _SPELLED.items())]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {entry.name: entry.annotation for entry in parameters}
    return command


def _option(name: str, kind: Any, help_text: str) -> inspect.Parameter:
    option = typer.Option(f"--{name.replace('_', '-')}", help=help_text, show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def spec_options(
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
) -> SpecOptions:
    """``SpecOptions`` from what was typed.

    Raises
    ------
    InputError
        If a value cannot be read or is out of range.
    """
    return SpecOptions(
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
