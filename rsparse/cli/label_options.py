"""The options for labels: ``--labels`` and ``--first-class``.

A command whose function has an argument of the type ``LabelOptions`` imports it from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from rsparse.cli.command import GROUPS, OptionGroup
from rsparse.cli.completion import complete_words
from rsparse.cli.generated import keyword, option
from rsparse.cli.help import DETAILS
from rsparse.errors import InputError
from rsparse.options.labels import LabelOptions
from rsparse.options.sections import INPUT_OUTPUT

__all__ = ["LabelOptions"]


def _read_first_class(word: Any) -> int:
    if str(word) not in ("0", "1"):
        raise InputError(f"first-class: expected 0 or 1, got {word!r}")
    return int(word)


_LABELS = Annotated[
    Path | None,
    option(
        "FILE",
        "File of the right classes: CSV (file,label), JSON or text; by default the manifest of "
        "IMAGES, a labels.csv, or their subfolders."
        f"{DETAILS}The labels.csv is in or beside the folder; subfolders are named after classes. "
        "A label is a class number, name or identifier. JSON maps "
        "files to classes. A text has one class per line in the order of the images' names.",
        "--labels",
        section=INPUT_OUTPUT,
    ),
]
_FIRST_CLASS = Annotated[
    int | None,
    option(
        "0|1",
        "Number of the first class in the labels. The default is 0, unless the labels show "
        "that it is 1, which is reported.",
        "--first-class",
        section=INPUT_OUTPUT,
        rare=True,
        parser=_read_first_class,
        complete=complete_words(["0", "1"]),
    ),
]


def _made(values: dict[str, Any], _: object) -> LabelOptions:
    return LabelOptions(values["labels"], values["first_class"])


GROUPS[LabelOptions] = lambda explain_input: OptionGroup(
    [keyword("labels", _LABELS), keyword("first_class", _FIRST_CLASS)], _made
)
