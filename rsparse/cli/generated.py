"""Options generated from the declarations of parameter sets."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from rsparse.cli.help import DETAILS
from rsparse.errors import InputError
from rsparse.options.fields import describe, field_type, limits, number_from, word_of
from rsparse.options.sections import METHOD, Place

_METAVARS = {int: "N", float: "X", str: "TEXT"}


def keyword(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """A keyword argument that typer turns into an option."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def option(
    metavar: str | None,
    help: str,
    *names: str,
    section: str = METHOD,
    rare: bool = False,
    show_default: bool = False,
    **settings: Any,
) -> Any:
    """An option of a command, with its place in the help; a switch has no ``metavar``.

    Parameters
    ----------
    metavar, help
        The placeholder of the value, and the help; details follow a form feed.
    names : str
        The spellings; by default the name of the function's argument.
    section, rare
        The title that lists it, and whether only ``--help-all`` does.
    show_default
        Whether the help ends with the default.
    settings
        Further arguments of ``typer.Option``.
    """
    place: Any = Place(section, rare)
    return typer.Option(
        *names,
        metavar=metavar,
        help=help,
        rich_help_panel=place,
        show_default=show_default,
        **settings,
    )


def argument(metavar: str, help: str, **settings: Any) -> Any:
    """An argument of a command."""
    return typer.Argument(metavar=metavar, help=help, show_default=False, **settings)


def field_option(field: dataclasses.Field[Any], place: Place) -> inspect.Parameter:
    """The option for a field of a parameter set; ``place`` is where the help lists the others."""
    rules, kind = field.metadata, field_type(field)
    dashed = field.name.replace("_", "-")
    help_text = rules["help"] + (rules["details"] and DETAILS + rules["details"])
    placed: dict[str, Any] = {
        "section": rules["section"] or place.title,
        "rare": rules["rare"] or place.rare,
    }
    if kind is bool:
        spelled = rules["flag"] or f"--{dashed}/--no-{dashed}"
        switch = option(None, help_text, spelled, show_default="/" in spelled, **placed)
        return keyword(field.name, Annotated[bool, switch], field.default)
    default = rules["shown_default"] or word_of(field, field.default)
    notes = [limits(field), f"default: {default}"]
    text = option(
        _metavar(field, kind),
        f"{help_text}  [{'; '.join(filter(None, notes))}]",
        f"--{dashed}",
        parser=_reader(field, kind),
        autocompletion=completed(_words(field)),
        **placed,
    )
    return keyword(field.name, Annotated[Any, text], field.default)


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
