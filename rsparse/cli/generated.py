"""Options generated from the declarations of parameter sets and of a model's input."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from rsparse.cli.help import NOT_LISTED
from rsparse.errors import InputError
from rsparse.models.fields import option_of
from rsparse.models.spec import INPUT_FIELDS, INPUT_OPTIONS, PRESETS
from rsparse.options.fields import describe, field_type, limits, word_of

_METAVARS = {int: "N", float: "X", str: "TEXT"}


def keyword(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """A keyword argument that typer turns into an option."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def field_option(field: dataclasses.Field[Any], section: str | None) -> inspect.Parameter:
    """The option for a field of a parameter set; ``section`` is its default title in the help."""
    rules, kind = field.metadata, field_type(field)
    section = section if section == NOT_LISTED else rules["section"] or section
    dashed = field.name.replace("_", "-")
    if kind is bool:
        spelled = rules["flag"] or f"--{dashed}/--no-{dashed}"
        switch = typer.Option(spelled, help=rules["help"], rich_help_panel=section)
        return keyword(field.name, Annotated[bool, switch], field.default)
    default = rules["shown_default"] or word_of(field, field.default)
    notes = [limits(field), f"default: {default}"]
    text = Annotated[
        Any,
        typer.Option(
            f"--{dashed}",
            help=f"{rules['help']}  [{'; '.join(filter(None, notes))}]",
            metavar=_metavar(field, kind),
            show_default=False,
            rich_help_panel=section,
            parser=_reader(field, kind),
            autocompletion=completed(_words(field)),
        ),
    ]
    return keyword(field.name, text, field.default)


def _words(field: dataclasses.Field[Any]) -> list[str]:
    """The words that a field accepts, such as its choices."""
    none = field.metadata["none"]
    return [*(field.metadata["choices"] or ()), *([none] if none != "none" else [])]


def _metavar(field: dataclasses.Field[Any], kind: type) -> str:
    words = _words(field)
    if field.metadata["choices"] is None:
        words.insert(0, field.metadata["metavar"] or _METAVARS[kind])
    return "|".join(words)


def _reader(field: dataclasses.Field[Any], kind: type) -> Callable[[Any], Any]:
    """A function that converts text to the field's type; the parameter set checks the range."""
    none = field.metadata["none"]

    def read(word: Any) -> Any:
        if word is None or (word == none and "None" in str(field.type)):
            return None
        try:
            return kind(word)
        except ValueError:
            name = field.name.replace("_", "-")
            raise InputError(f"{name}: expected {describe(field)}, got {word!r}") from None

    return read


def completed(words: Sequence[str]) -> Callable[[str], list[str]]:
    """A function that completes an option's value in the shell."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def input_options(explained: bool) -> list[inspect.Parameter]:
    """The options for a model's input.

    If they are not ``explained``, the help lists only ``--preset``, which names the others.
    """
    others = [f"--{name}" for name in INPUT_OPTIONS if name != "preset"]
    preset = f"The convention for the model's input: {', '.join(PRESETS)}."
    if not explained:
        preset += (
            " A tagged model does not need it. For other conventions there are "
            f"{', '.join(others[:-1])} and {others[-1]}; see 'rsparse model tag --help'."
        )
    made = [_input_option("preset", preset, "NAME", _PANEL, list(PRESETS))]
    section = _PANEL if explained else NOT_LISTED
    for field in INPUT_FIELDS.values():
        rules = field.metadata
        words = rules["metavar"].split("|")
        offered = words if all(word.islower() or len(word) > 3 for word in words) else []
        made.append(
            _input_option(option_of(field), rules["help"], rules["metavar"], section, offered)
        )
    return made


_PANEL = "Input of the model"


def _input_option(
    name: str, help_text: str, metavar: str, section: str, words: Sequence[str]
) -> inspect.Parameter:
    option = typer.Option(
        f"--{name}",
        help=help_text,
        metavar=metavar,
        show_default=False,
        rich_help_panel=section,
        autocompletion=completed(words),
    )
    return keyword(name.replace("-", "_"), Annotated[str | None, option])
