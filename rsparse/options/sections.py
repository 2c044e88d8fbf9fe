"""The titles under which a command's help lists its options, and which it lists by default."""

from __future__ import annotations

from typing import NamedTuple

INPUT_OUTPUT = "Input and output"
METHOD = "Method"
ATTACK = "Attack"
RUNNING = "Running"
MODEL_INPUT = "Input of the model"

ORDER = (INPUT_OUTPUT, METHOD, ATTACK)
"""The first titles in a help text; ``RUNNING`` is the last, after a command's own ones."""


class Place(NamedTuple):
    """Where the help lists an option.

    Attributes
    ----------
    title : str
        The title above it.
    rare : bool
        Whether only ``--help-all`` lists it.
    """

    title: str = METHOD
    rare: bool = False
