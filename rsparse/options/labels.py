"""The labels file that a user names, and which images count by their labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.options.fields import parameter
from rsparse.options.sections import INPUT_OUTPUT


@dataclass(frozen=True)
class LabelOptions:
    """The labels file of a command, and how it counts classes.

    Attributes
    ----------
    file : Path or None
        By default, labels are looked for with the images.
    first_class : int or None
        The number of the first class in labels, 0 or 1. By default 0, unless the labels show
        otherwise.

    Raises
    ------
    InputError
        If ``first_class`` is another number.
    """

    file: Path | None = None
    first_class: int | None = None

    def __post_init__(self) -> None:
        if self.first_class not in (None, 0, 1):
            raise InputError(f"first-class: expected 0 or 1, got {self.first_class!r}")


def only_correct_parameter() -> Any:
    """The field ``only_correct``, with the same default in all commands that attack."""
    return parameter(
        True,
        "Use only images that the undefended model gets right, or all.",
        details="Only right ones can be fooled; the paper takes these.",
        flag="--only-correct/--all-images",
        section=INPUT_OUTPUT,
    )


def predicted_labels_parameter() -> Any:
    """The field ``predicted_labels`` of a command that attacks."""
    return parameter(
        False,
        "If the images have no labels, take the model's own predictions as the right classes.",
        flag="--predicted-labels",
        section=INPUT_OUTPUT,
        rare=True,
    )
