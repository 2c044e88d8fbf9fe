"""The options for a model's input, generated from its declaration.

A command whose function has an argument of the type ``InputOptions`` imports it from here.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from rsparse.cli.command import GROUPS, OptionGroup
from rsparse.cli.generated import completed, keyword
from rsparse.cli.help import NOT_LISTED
from rsparse.models.fields import option_of
from rsparse.models.spec import (
    INPUT_FIELDS,
    INPUT_OPTIONS,
    PRESETS,
    InputOptions,
    read_input_options,
)

__all__ = ["InputOptions"]


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


def _made(values: dict[str, Any], _: object) -> InputOptions:
    return read_input_options({name.replace("_", "-"): word for name, word in values.items()})


GROUPS[InputOptions] = lambda explain_input: OptionGroup(input_options(explain_input), _made)
