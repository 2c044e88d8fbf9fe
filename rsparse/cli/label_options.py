"""The options for labels: ``--labels`` and ``--first-class``.

A command whose function has an argument of the type ``LabelOptions`` imports it from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rsparse.cli.command import GROUPS, OptionGroup
from rsparse.cli.generated import completed, keyword
from rsparse.errors import InputError
from rsparse.options.labels import LabelOptions

__all__ = ["LabelOptions"]


def _read_first_class(word: Any) -> int:
    if str(word) not in ("0", "1"):
        raise InputError(f"first-class: expected 0 or 1, got {word!r}")
    return int(word)


_LABELS = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        show_default=False,
        help="File of the correct classes: CSV with the columns file and label (class number, "
        "name or identifier), JSON of files and classes, or a text with one class per line in the "
        "order of the images' names. By default, labels come from the manifest of the images, "
        "from a labels.csv in their folder or beside it, or from subfolders named after classes.",
    ),
]
_FIRST_CLASS = Annotated[
    int | None,
    typer.Option(
        "--first-class",
        metavar="0|1",
        show_default=False,
        parser=_read_first_class,
        autocompletion=completed(["0", "1"]),
        help="Number of the first class in the labels. The default is 0, unless the labels show "
        "that it is 1, which is reported.",
    ),
]


def _made(values: dict[str, Any], _: object) -> LabelOptions:
    return LabelOptions(values["labels"], values["first_class"])


GROUPS[LabelOptions] = lambda explain_input: OptionGroup(
    [keyword("labels", _LABELS), keyword("first_class", _FIRST_CLASS)], _made
)
