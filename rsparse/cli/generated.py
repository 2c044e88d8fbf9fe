"""Options generated from the declarations of parameter sets."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from rsparse.cli.completion import COMPLETIONS, complete_words
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
    complete: Callable[..., list[str]] | None = None,
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
    complete
        What a shell completes as its value (``cli/completion.py``); by default files.
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
        autocompletion=complete,
        **settings,
    )


def argument(metavar: str, help: str, *, complete: Callable[..., list[str]] | None = None) -> Any:
    """An argument of a command."""
    return typer.Argument(metavar=metavar, help=help, show_default=False, autocompletion=complete)


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
        shown = rules["shown_default"]
        text = f"{help_text}  [default: {shown}]" if shown else help_text
        switch = option(None, text, spelled, show_default="/" in spelled and not shown, **placed)
        return keyword(field.name, Annotated[bool, switch], field.default)
    default = rules["shown_default"] or word_of(field, field.default)
    notes = [limits(field), f"default: {default}"]
    text = option(
        _metavar(field, kind),
        f"{help_text}  [{'; '.join(filter(None, notes))}]",
        f"--{dashed}",
        parser=_reader(field, kind),
        complete=_completion(field),
        **placed,
    )
    return keyword(field.name, Annotated[Any, text], field.default)


def _words(field: dataclasses.Field[Any]) -> list[str]:
    """The words that a field accepts, such as its choices."""
    none = field.metadata["none"]
    return [*(field.metadata["choices"] or ()), *([none] if none != "none" else [])]


def _completion(field: dataclasses.Field[Any]) -> Callable[..., list[str]]:
    """What a shell completes as the value of a field."""
    known = COMPLETIONS.get(field.metadata["what"])
    return known or complete_words([*_words(field), *field.metadata["words"]])


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
