"""Write CSV that spreadsheets show as it is, and read its texts back.

A spreadsheet computes a cell that starts with ``=``, ``+``, ``-`` or ``@``. The name of an image
that starts so is written as the same path with a leading ``./``; any other text gets a leading
apostrophe, as in a spreadsheet. ``name_of`` and ``text_of`` undo this.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

_COMPUTED = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_QUOTE = "'"
_NUMBER = re.compile(r"[+-]?[0-9]+([.][0-9]+)?")


def csv_line(cells: Iterable[str]) -> str:
    """One line of CSV; a cell with a line break of any kind is quoted."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def name_cell(name: str) -> str:
    """The cell for the name of an image."""
    return f"./{name}" if name.startswith(_COMPUTED) else name


def name_of(cell: str) -> str:
    """The name in a cell that ``name_cell`` made."""
    return cell.removeprefix("./")


def text_cell(text: str) -> str:
    """The cell for any other text, such as the name of a class."""
    if text.startswith((*_COMPUTED, _QUOTE)) and not _NUMBER.fullmatch(text):
        return _QUOTE + text
    return text


def text_of(cell: str) -> str:
    """The text in a cell that ``text_cell`` made."""
    return cell[1:] if cell.startswith(tuple(_QUOTE + c for c in (*_COMPUTED, _QUOTE))) else cell
