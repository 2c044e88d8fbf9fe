"""The fields of an input spec: their checks, their JSON, their spelling on a command line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rsparse.errors import InputError, reason

CHANNELS = ("rgb", "bgr")
LAYOUTS = ("NCHW", "NHWC")
MAX_SIDE = 8192

Triple = tuple[float, float, float]


def fields_from_json(text: str, where: str) -> dict[str, Any]:
    """The checked fields of a spec in JSON; those it does not name are left out."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: is not JSON") from error
    if not isinstance(said, dict):
        raise InputError(f"{where}: expected a JSON object")
    unknown = sorted(said.keys() - _CHECKS.keys())
    if unknown:
        raise InputError(
            f"{where}: unknown field {unknown[0]!r}; expected some of {', '.join(_CHECKS)}"
        )
    try:
        return check_fields({name: value for name, value in said.items() if value is not None})
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def check_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a spec in their proper types.

    Raises
    ------
    InputError
        If one is of another type or out of range.
    """
    return {
        name: None if value is None and name == "labels" else _CHECKS[name](name, value)
        for name, value in values.items()
    }


def parse_size(text: str) -> tuple[int, int]:
    """``"299"`` as a square, ``"224x320"`` as height and width."""
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(side.strip().isdecimal() for side in sides):
        raise _refuse("size", "a side such as 299 or height x width such as 224x320", text)
    return _size("size", [int(sides[0]), int(sides[-1])])


def parse_triple(name: str, text: str) -> Triple:
    """``"0.5"`` for all three channels, or ``"0.485,0.456,0.406"``."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise _refuse(name, "a number or three with commas between", text) from None
    if len(numbers) not in (1, 3):
        raise _refuse(name, "a number or three with commas between", text)
    return _triple(name, numbers if len(numbers) == 3 else numbers * 3)


def read_class_names(path: Path) -> tuple[str, ...]:
    """The class names in a text file, one a line, in the order of the classes."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a text file in UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from error
    if not lines:
        raise InputError(f"{path}: expected class names, one a line; it is empty")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise InputError(f"{path}: line {number}: expected a class name, got an empty line")
    return tuple(line.strip() for line in lines)


def flag_of(name: str) -> str:
    """How a field is called on the command line."""
    return "class-names" if name == "labels" else name.replace("_", "-")


def _refuse(name: str, expected: str, value: Any) -> InputError:
    return InputError(f"{flag_of(name)}: expected {expected}, got {value!r}")


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _size(name: str, value: Any) -> tuple[int, int]:
    sides = list(value) if isinstance(value, (list, tuple)) else []
    if len(sides) != 2 or not all(type(side) is int and 0 < side <= MAX_SIDE for side in sides):
        shown = list(value) if isinstance(value, tuple) else value
        raise _refuse(name, f"height and width from 1 to {MAX_SIDE}", shown)
    return sides[0], sides[1]


def _triple(name: str, value: Any) -> Triple:
    numbers = list(value) if isinstance(value, (list, tuple)) else []
    positive = name == "std"
    if len(numbers) != 3 or not all(_is_number(n) and (n > 0 or not positive) for n in numbers):
        shown = list(value) if isinstance(value, tuple) else value
        raise _refuse(name, "three numbers above 0" if positive else "three numbers", shown)
    return float(numbers[0]), float(numbers[1]), float(numbers[2])


def _range(name: str, value: Any) -> float:
    if not _is_number(value) or value <= 0:
        raise _refuse(name, "a number above 0", value)
    return float(value)


def _channels(name: str, value: Any) -> str:
    if value not in CHANNELS:
        raise _refuse(name, "rgb or bgr", value)
    return str(value)


def _layout(name: str, value: Any) -> str:
    if value not in LAYOUTS:
        raise _refuse(name, "NCHW or NHWC", value)
    return str(value)


def _class_offset(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 1_000_000:
        raise _refuse(name, "a whole number of 0 or more", value)
    return int(value)


def _labels(name: str, value: Any) -> tuple[str, ...]:
    is_names = isinstance(value, (list, tuple)) and all(isinstance(text, str) for text in value)
    if not is_names or not value:
        raise _refuse(name, "a list of class names", value if not is_names else [])
    return tuple(value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "size": _size,
    "mean": _triple,
    "std": _triple,
    "range": _range,
    "channels": _channels,
    "layout": _layout,
    "class_offset": _class_offset,
    "labels": _labels,
}
