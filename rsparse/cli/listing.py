"""``--list``: the attacks or defenses that a command knows, with all their parameters."""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import typer

from rsparse.cli.generated import option
from rsparse.options.fields import Parameters, limits, word_of
from rsparse.options.sections import METHOD

_WIDTH = 100


def list_option(
    what: str, registry: Mapping[str, type[Parameters]], *, section: str = METHOD
) -> Any:
    """The option ``--list``, which prints what is in a registry and ends the command."""
    return option(
        None,
        f"Print all {what} with their parameters and defaults, and exit.",
        "--list",
        section=section,
        callback=_printer(registry),
        is_eager=True,
    )


def _printer(registry: Mapping[str, type[Parameters]]) -> Callable[[bool], None]:
    def run(is_requested: bool) -> None:
        if is_requested:
            from rsparse.cli.console import answer

            answer("\n\n".join(listed(name, kind) for name, kind in sorted(registry.items())))
            raise typer.Exit

    return run


def listed(name: str, kind: type[Parameters]) -> str:
    """What one of them does, in the words of its documentation, and a line for each parameter."""
    about = inspect.cleandoc(kind.__doc__ or "").split("\nReferences\n")[0].replace("``", "")
    paragraphs = [" ".join(part.split()) for part in about.split("\n\n") if part.strip()]
    lines = [name]
    for paragraph in paragraphs:
        lines += textwrap.wrap(paragraph, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    for field in dataclasses.fields(kind):
        first = f"    {field.name}={_default(field)}"
        text = " ".join(filter(None, [field.metadata["help"], _range(field)]))
        indent = " " * 32
        lines += textwrap.wrap(
            f"{first:<31} {text}", _WIDTH, subsequent_indent=indent, break_on_hyphens=False
        )
    return "\n".join(lines)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        return "…"
    return word_of(field, field.default)


def _range(field: dataclasses.Field[Any]) -> str:
    choices = field.metadata.get("choices")
    text = "|".join(choices) if choices else limits(field)
    return f"[{text}]" if text else ""
