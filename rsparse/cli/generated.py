"""Options generated from the declarations of parameter sets."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from rsparse.cli.help import NOT_LISTED
from rsparse.errors import InputError
from rsparse.options.fields import describe, field_type, limits, number_from, word_of

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
            return number_from(field, word) if kind in (int, float) else kind(word)
        except ValueError:
            name = field.name.replace("_", "-")
            raise InputError(f"{name}: expected {describe(field)}, got {word!r}") from None

    return read


def completed(words: Sequence[str]) -> Callable[[str], list[str]]:
    """A function that completes an option's value in the shell."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete
