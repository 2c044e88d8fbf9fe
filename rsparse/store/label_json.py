"""Read labels in JSON: objects and lists of files and classes, also one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rsparse.errors import InputError

SUFFIXES = (".json", ".jsonl", ".ndjson")
_TABLES = ("labels", "annotations", "samples", "images", "items", "rows", "data")
"""Keys below which a larger file holds the labels."""

_WANTED = (
    'expected {"a.png": 3, …}, {"tench": ["a.png", …], …}, [["a.png", 3], …], or objects with '
    "the keys file and label"
)


class JsonRows(NamedTuple):
    """The labels in a JSON file as rows of a table.

    Attributes
    ----------
    header : list of str
        Names of the columns; empty if there is only one label for each image, in order.
    rows : list of (str, list of str)
        The place of a row, for messages, and its cells.
    """

    header: list[str]
    rows: list[tuple[str, list[str]]]


def json_rows(text: str, path: Path) -> JsonRows | None:
    """The rows of a file, or None if it is not JSON and need not be.

    Raises
    ------
    InputError
        If the file's suffix says JSON and it is not, or if it holds something else.
    """
    must_be = path.suffix.lower() in SUFFIXES
    if not must_be and text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        content = _parsed(text)
    except (ValueError, RecursionError) as error:
        if must_be:
            raise InputError(f"{path}: is not valid JSON: {error}") from None
        return None  # a list of files whose names begin like that
    while isinstance(content, dict):
        inner = next((content[key] for key in _TABLES if key in content), None)
        if not isinstance(inner, (dict, list)):
            break
        content = inner
    rows = _rows(content)
    if rows is None:
        raise InputError(f"{path}: {_WANTED}")
    return rows


def _parsed(text: str) -> Any:
    """The content of a JSON file; a list of objects if there is one on each line."""
    try:
        return json.loads(text)
    except ValueError:
        lines = [json.loads(line) for line in text.splitlines() if line.strip()]
        if not all(isinstance(line, dict) for line in lines):
            raise
        return lines


def _rows(content: Any) -> JsonRows | None:
    if isinstance(content, dict) and content:
        if all(isinstance(value, list) for value in content.values()):
            pairs: Any = [(file, label) for label, files in content.items() for file in files]
        elif all(isinstance(value, dict) for value in content.values()):
            return _records([{"file": file, **value} for file, value in content.items()])
        else:
            pairs = content.items()
        return _table(["file", "label"], ((f"entry {file!r}", (file, v)) for file, v in pairs))
    if not isinstance(content, list) or not content:
        return None
    if all(isinstance(item, dict) for item in content):
        return _records(content)
    if all(isinstance(item, list) and len(item) == 2 for item in content):
        return _table(["file", "label"], _numbered(content))
    return _table([], _numbered([[item] for item in content]))


def _records(content: list[dict[str, Any]]) -> JsonRows | None:
    """Objects with equal keys; a value that is no text or number counts as empty."""
    header = list(dict.fromkeys(key for item in content for key in item))
    cells = [[_cell(item.get(key)) or "" for key in header] for item in content]
    return _table(header, _numbered(cells))


def _table(header: list[str], rows: Iterator[tuple[str, Any]]) -> JsonRows | None:
    """The rows as texts; None if one has a cell that is neither text nor number."""
    made = [(where, [_cell(value) for value in cells]) for where, cells in rows]
    if any(cell is None for _, cells in made for cell in cells):
        return None
    return JsonRows(header, [(where, [cell or "" for cell in cells]) for where, cells in made])


def _numbered(rows: list[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"entry {number}", cells) for number, cells in enumerate(rows, 1))


def _cell(value: Any) -> str | None:
    is_cell = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return str(value) if is_cell else None
