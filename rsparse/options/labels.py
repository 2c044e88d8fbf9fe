"""The labels file that a user names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsparse.errors import InputError


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
