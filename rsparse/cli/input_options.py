"""The options for a model's input, generated from its declaration.

A command whose function has an argument of the type ``InputOptions`` imports it from here.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Annotated, Any

from rsparse.cli.command import GROUPS, OptionGroup
from rsparse.cli.completion import complete_words
from rsparse.cli.generated import keyword, option
from rsparse.cli.help import DETAILS
from rsparse.models.fields import option_of
from rsparse.models.spec import INPUT_FIELDS, PRESETS, InputOptions, read_input_options
from rsparse.options.sections import INPUT_OUTPUT, MODEL_INPUT, Place

__all__ = ["InputOptions"]


def input_options(explained: bool) -> list[inspect.Parameter]:
    """The options for a model's input.

    If they are not ``explained``, the short help lists only ``--preset``.
    """
    preset = f"Convention for the model's input: {', '.join(PRESETS)}"
    preset += "." if explained else f"; a tagged model needs none.{DETAILS}Others are below."
    section = MODEL_INPUT if explained else INPUT_OUTPUT
    made = [_input_option("preset", preset, "NAME", Place(section), list(PRESETS))]
    place = Place(MODEL_INPUT, not explained)
    for field in INPUT_FIELDS.values():
        rules = field.metadata
        words = rules["metavar"].split("|")
        offered = words if all(word.islower() or len(word) > 3 for word in words) else []
        made.append(
            _input_option(option_of(field), rules["help"], rules["metavar"], place, offered)
        )
    return made


def _input_option(
    name: str, help_text: str, metavar: str, place: Place, words: Sequence[str]
) -> inspect.Parameter:
    made = option(
        metavar,
        help_text,
        f"--{name}",
        section=place.title,
        rare=place.rare,
        complete=complete_words(words),
    )
    return keyword(name.replace("-", "_"), Annotated[str | None, made])


def _made(values: dict[str, Any], _: object) -> InputOptions:
    return read_input_options({name.replace("_", "-"): word for name, word in values.items()})


GROUPS[InputOptions] = lambda explain_input: OptionGroup(input_options(explain_input), _made)
