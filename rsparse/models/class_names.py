"""Read the names of a classifier's classes, from the text and JSON files in which they come."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsparse.errors import InputError, system_error

_TABLES = (
    "id2label", "idx_to_class", "index_to_class", "label2id", "class_to_idx", "class_names",
    "classes", "labels", "names",
)  # fmt: skip
"""Keys below which a larger JSON file, such as a model's configuration, holds the classes."""

_NAME_KEYS = ("name", "label", "class", "class_name")
_NUMBER_KEYS = ("id", "index", "class_id", "class_index")
_NUMBERED = re.compile(r"([0-9]{1,9})\s*[\s:,;]\s*([^\s-].*)")
_MAX_CLASSES = 1_000_000


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read the class names in a file, in the order of the classes.

    A text has one name per line, which may begin with the number or the identifier of the class.
    A JSON file, or the same as a Python literal, has a list of names, an object from numbers to
    names (``{"0": "tench"}``) or from names to numbers (``{"tench": 0}``). A name may be a list
    of an identifier and names (``["n01440764", "tench"]``).

    Raises
    ------
    InputError
        If the file cannot be read, holds no names, or leaves out a class.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a text file in UTF-8") from error
    except OSError as error:
        raise system_error(error, f"{path}: cannot be read") from error
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _names_in(_parsed(text))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    return _names_in_lines(text.splitlines(), path)


def _names_in_lines(lines: list[str], path: Path) -> tuple[str, ...]:
    if not lines:
        raise InputError(f"{path}: expected class names, one per line, got an empty file")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise InputError(f"{path}: line {number}: expected a class name, got an empty line")
    numbered = [_NUMBERED.fullmatch(line.strip()) for line in lines]
    if all(found and int(found[1]) == number for number, found in enumerate(numbered)):
        return tuple(found[2] for found in numbered if found)
    return tuple(line.strip() for line in lines)


def _parsed(text: str) -> Any:
    """The content of a JSON file or a Python literal."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        try:
            with warnings.catch_warnings(action="ignore"):  # of unusual escapes in strings
                return ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            raise InputError(f"is not valid JSON: {error}") from None


def _names_in(content: Any) -> tuple[str, ...]:
    """The names in a parsed file."""
    while isinstance(content, dict):
        inner = next((content[key] for key in _TABLES if key in content), None)
        if not isinstance(inner, (dict, list)):
            return _in_order(_numbers_of_object(content))
        content = inner
    if not isinstance(content, list) or not content:
        raise InputError("expected class names, got an empty list")
    if all(isinstance(item, dict) for item in content):
        return _in_order(_numbers_of_records(content))
    return tuple(map(_name, content))


def _numbers_of_object(content: Mapping[Any, Any]) -> dict[int, str]:
    """Names by number, from an object with numbers as keys or as values."""
    by_number = {_number(key): value for key, value in content.items()}
    if None not in by_number and content:
        return {int(key): _name(value) for key, value in by_number.items() if key is not None}
    numbers = {_number(value): str(key) for key, value in content.items()}
    if not numbers or None in numbers or len(numbers) != len(content):
        raise InputError(
            'expected class names: a list, {"0": "tench", …} or {"tench": 0, …}, got another object'
        )
    return {int(key): name for key, name in numbers.items() if key is not None}


def _numbers_of_records(content: list[dict[str, Any]]) -> dict[int, str]:
    """Names by number, from a list of objects with a name and perhaps a number each."""
    names: dict[int, str] = {}
    for place, item in enumerate(content):
        name = next((item[key] for key in _NAME_KEYS if key in item), None)
        number = next((_number(item[key]) for key in _NUMBER_KEYS if key in item), place)
        if name is None or number is None or number in names:
            raise InputError(f"expected each class with a name and its own number, got {item!r}")
        names[number] = _name(name)
    return names


def _in_order(names: Mapping[int, str]) -> tuple[str, ...]:
    missing = next((n for n in range(len(names)) if n not in names), None)
    if missing is not None:
        raise InputError(f"expected classes 0 to {len(names) - 1}, but class {missing} is missing")
    return tuple(names[number] for number in range(len(names)))


def _name(value: Any) -> str:
    """A name, or the identifier and names in a list, as one text."""
    texts = value if isinstance(value, (list, tuple)) else [value]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise InputError(f"expected a class name, got {value!r}")
    first, *others = (" ".join(text.split()) for text in texts)
    if others and re.fullmatch(r"[a-z]\d{8}", first):
        return f"{first} {', '.join(others)}"
    return ", ".join((first, *others))


def _number(value: Any) -> int | None:
    """A class number, as a number or as text."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[0-9]{1,9}", value) else None
    return value if 0 <= value < _MAX_CLASSES else None
