"""The fields of a classifier's input: how each is checked and parsed, and its help.

``InputSpec`` (``models/spec.py``) declares each field once, with ``input_field``. The JSON of
sidecars and metadata, the command line, plan.toml and the specs of scenarios all follow it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.models.class_names import read_class_names
from rsparse.models.fit import Fit

CHANNELS = ("rgb", "bgr", "grey")
LAYOUTS = ("NCHW", "NHWC")
SQUASH, CROP = "squash", "crop"
LOGITS, PROBABILITIES, SIGMOIDS = SCORE_TYPES = ("logits", "probabilities", "sigmoids")
MAX_SIDE = 8192

Triple = tuple[float, float, float]


def input_field(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    check: Callable[[Any], Any],
    parse: Callable[[str, Path], Any],
    option: str = "",
    metavar: str,
) -> Any:
    """A dataclass field with its checks, its parser and its help.

    Parameters
    ----------
    default, help
        The default value and the help text.
    check : callable
        Converts a value to its proper type, or raises an ``InputError`` without the field's name.
    parse : callable
        Parses a text, in which paths are relative to a folder; it need not check the range.
    option : str
        The name of the option and of the plan's key, if it differs from the field's name.
    metavar : str
        The placeholder of the value in the help.
    """
    metadata = {"help": help, "check": check, "parse": parse, "option": option, "metavar": metavar}
    return dataclasses.field(default=default, metadata=metadata)


def option_of(field: dataclasses.Field[Any]) -> str:
    """The name of a field's option, without leading dashes: ``class-names``."""
    return field.metadata["option"] or field.name.replace("_", "-")


def checked(field: dataclasses.Field[Any], value: Any, label: str = "") -> Any:
    """A value of a field in its proper type.

    Raises
    ------
    InputError
        If it has the wrong type or is out of range. The message names ``label`` or else the field.
    """
    if value is None and field.default is None:
        return None
    try:
        return field.metadata["check"](value)
    except InputError as error:
        raise InputError(f"{label or field.name}: {error}") from None


def read_value(field: dataclasses.Field[Any], value: Any, folder: Path = Path()) -> Any:
    """Parse a value of a field from the command line, a spec or a plan.

    Parameters
    ----------
    field : dataclasses.Field
        A field of ``InputSpec``.
    value : str, int, float or list
        A text, or a value of TOML.
    folder : Path
        The base of relative paths in the value.

    Raises
    ------
    InputError
        If the value is invalid or out of range; the message names the option.
    """
    option = option_of(field)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(value, str) or is_number:
        try:
            value = field.metadata["parse"](str(value), folder)
        except InputError as error:
            raise InputError(f"{option}: {error}") from None
    return checked(field, value, option)


def checked_fields(
    fields: Mapping[str, dataclasses.Field[Any]], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Values of several fields in their proper types, by name."""
    return {name: checked(fields[name], value) for name, value in values.items()}


def parse_size(text: str, _: Path = Path()) -> list[int]:
    """``"299"`` as a square, ``"224x320"`` as height and width."""
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(side.strip().isdecimal() for side in sides):
        raise _unexpected("a side such as 299 or height x width such as 224x320", text)
    return [int(sides[0]), int(sides[-1])]


def parse_triple(text: str, _: Path = Path()) -> list[float]:
    """``"0.5"`` for all three channels, or ``"0.485,0.456,0.406"``."""
    expected = "a number, or three separated by commas"
    numbers = [parse_number(part, text=text, expected=expected) for part in text.split(",")]
    if len(numbers) not in (1, 3):
        raise _unexpected(expected, text)
    return numbers if len(numbers) == 3 else numbers * 3


def parse_number(
    word: str, _: Path = Path(), *, text: str = "", expected: str = "a number above 0"
) -> float:
    """A number. The error quotes ``text``, which may contain more than the word."""
    try:
        return float(word)
    except ValueError:
        raise _unexpected(expected, text or word) from None


def parse_offset(text: str, _: Path = Path()) -> int:
    """A whole number."""
    if not text.strip().isdecimal():
        raise _unexpected("a whole number of 0 or more", text)
    return int(text)


def parse_layout(text: str, _: Path = Path()) -> str:
    """The order of the axes, in any case."""
    return text.upper()


def parse_lower(text: str, _: Path = Path()) -> str:
    """A word in any case."""
    return text.strip().lower()


def parse_text(text: str, _: Path = Path()) -> str:
    """A name, as it is."""
    return text


def parse_class_names(text: str, folder: Path = Path()) -> tuple[str, ...]:
    """The class names in a file, given its path."""
    return read_class_names(folder / text)


def _unexpected(expected: str, value: Any) -> InputError:
    shown = list(value) if isinstance(value, tuple) else value
    return InputError(f"expected {expected}, got {shown!r}")


def _one_of(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def check_size(value: Any) -> tuple[int, int]:
    """Height and width."""
    sides = list(value) if isinstance(value, (list, tuple)) else []
    if len(sides) != 2 or not all(type(side) is int and 0 < side <= MAX_SIDE for side in sides):
        raise _unexpected(f"height and width from 1 to {MAX_SIDE}", value)
    return sides[0], sides[1]


def check_triple(value: Any, expected: str = "three numbers", above: float = -math.inf) -> Triple:
    """One number for each channel."""
    numbers = list(value) if isinstance(value, (list, tuple)) else []
    if len(numbers) != 3 or not all(_is_number(number) and number > above for number in numbers):
        raise _unexpected(expected, value)
    return float(numbers[0]), float(numbers[1]), float(numbers[2])


def check_positive_triple(value: Any) -> Triple:
    """One number above 0 for each channel."""
    return check_triple(value, "three numbers above 0", above=0)


def check_range(value: Any) -> float:
    """A number above 0."""
    if not _is_number(value) or value <= 0:
        raise _unexpected("a number above 0", value)
    return float(value)


def check_channels(value: Any) -> str:
    """One of ``CHANNELS``."""
    if value not in CHANNELS:
        raise _unexpected(_one_of(CHANNELS), value)
    return str(value)


def check_layout(value: Any) -> str:
    """One of ``LAYOUTS``."""
    if value not in LAYOUTS:
        raise _unexpected(_one_of(LAYOUTS), value)
    return str(value)


def check_resize(value: Any) -> str:
    """``squash``, or ``crop:SHARE``."""
    expected = f"{SQUASH}, or {CROP}:SHARE with a share above 0 and at most 1, such as crop:0.875"
    kind, _, share = value.partition(":") if isinstance(value, str) else ("", "", "")
    if value == SQUASH:
        return SQUASH
    try:
        number = float(share)
    except ValueError:
        raise _unexpected(expected, value) from None
    if kind != CROP or not 0 < number <= 1:
        raise _unexpected(expected, value)
    return f"{CROP}:{number!r}"


def crop_share(resize: str) -> float | None:
    """The share of the shorter side that ``crop:SHARE`` keeps; ``None`` for ``squash``."""
    return None if resize == SQUASH else float(resize.partition(":")[2])


def check_score_type(value: Any) -> str:
    """One of ``SCORE_TYPES``."""
    if value not in SCORE_TYPES:
        raise _unexpected(_one_of(SCORE_TYPES), value)
    return str(value)


def check_name(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise _unexpected("a name", value)
    return value


def check_offset(value: Any) -> int:
    """A whole number up to a million."""
    if type(value) is not int or not 0 <= value <= 1_000_000:
        raise _unexpected("a whole number of 0 or more", value)
    return value


def check_labels(value: Any) -> tuple[str, ...]:
    """At least one name."""
    is_names = isinstance(value, (list, tuple)) and all(isinstance(text, str) for text in value)
    if not is_names or not value:
        raise _unexpected("a list of class names", value if not is_names else [])
    return tuple(value)


def read_fit(text: str, option: str) -> Fit:
    """Parse a size such as ``299`` or ``224x320``, or with a crop: ``224:crop:0.875``.

    Raises
    ------
    InputError
        If the text is neither; the message names the option.
    """
    size, _, resize = text.partition(":")
    try:
        return Fit(check_size(parse_size(size)), crop_share(check_resize(resize or SQUASH)))
    except InputError as error:
        raise InputError(f"{option}: {error}") from None
