"""The fields of a parameter set: ranges, checks and descriptions in words."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rsparse.errors import InputError
from rsparse.options.sections import METHOD

_HIDDEN_FROM = 10_000  # the help leaves out upper bounds from here on


def parameter(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    odd: bool = False,
    choices: Sequence[str] | None = None,
    flag: str | None = None,
    none: str = "none",
    metavar: str | None = None,
    section: str | None = None,
    rare: bool = False,
    details: str = "",
    words: Sequence[str] = (),
    shown_default: str | None = None,
    what: str | None = None,
    levels: bool = False,
    question: Callable[[str, float], str | None] | None = None,
) -> Any:
    """A dataclass field with its range, its help text and, for a switch, its option names.

    ``above`` is an exclusive lower bound; ``minimum`` and ``maximum`` are inclusive. ``flag``
    overrides the names of the command-line option (``"--color/--grey"``). ``none`` is the
    spelling of None. ``what`` describes a text in error messages. ``metavar`` is the placeholder
    of a text in the help, and ``section`` is the title that lists the option there. Only
    ``--help-all`` lists a ``rare`` option, and says the ``details`` of any option after its help.
    A shell completes the ``words`` of a text without ``choices``.
    ``shown_default`` replaces the default value in the help. With ``levels``, the number is in grey
    levels and may be written as a fraction of 255. ``question`` takes the name and a value in the
    range, and returns what to ask about a value that would do nothing.
    """
    metadata = {
        "help": help,
        "minimum": minimum,
        "maximum": maximum,
        "above": above,
        "odd": odd,
        "choices": choices,
        "flag": flag,
        "none": none,
        "metavar": metavar,
        "section": section,
        "rare": rare,
        "details": details,
        "words": words,
        "shown_default": shown_default,
        "what": what,
        "levels": levels,
        "question": question,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Base class of all parameter sets; the constructor checks every field.

    Attributes
    ----------
    section : str
        The title that lists the options for its fields in a command's help.

    Raises
    ------
    InputError
        If a value has the wrong type or is out of range.
    """

    section: ClassVar[str] = METHOD

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = _checked(field, getattr(self, field.name))
            object.__setattr__(self, field.name, value)

    def as_record(self) -> dict[str, Any]:
        """The values as plain JSON types, for an artifact's record."""
        return dataclasses.asdict(self)


def field_type(field: dataclasses.Field[Any]) -> type:
    """The plain type (bool, int, float or str) behind a field's annotation."""
    annotation = str(field.type)
    for name, kind in (("bool", bool), ("int", int), ("float", float), ("str", str)):
        if annotation.split(" | ")[0] == name:
            return kind
    raise TypeError(f"{field.name}: {annotation} cannot be a parameter")


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    """``value`` in the field's type, or an ``InputError`` that names what was expected."""
    if "None" in str(field.type) and (value is None or value == field.metadata.get("none")):
        return None
    kind = field_type(field)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) <= sys.float_info.max else float("inf")
    name = field.name.replace("_", "-")
    right_type = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not right_type or not _in_range(field, value):
        raise InputError(f"{name}: expected {describe(field)}, got {value!r}")
    question = field.metadata.get("question")
    if question is not None and (asked := question(name, value)) is not None:
        raise InputError(f"{name}: {asked}")
    return value


def number_from(field: dataclasses.Field[Any], word: str | float) -> int | float:
    """Read a number of a field's type; of grey levels also a fraction: ``8/255`` is 8.

    A number, such as an option's default, is taken as it is.

    Raises
    ------
    ValueError
        If the word is no number, or a fraction of anything but 255.
    """
    if field.metadata.get("levels") and isinstance(word, str):
        word, bar, whole = (part.strip() for part in word.partition("/"))
        if bar and whole not in ("255", "255.0"):
            raise ValueError(f"{whole}: is not 255")
    return int(word) if field_type(field) is int else float(word)


def _in_range(field: dataclasses.Field[Any], value: Any) -> bool:
    rules = field.metadata
    if rules.get("choices") is not None and value not in rules["choices"]:
        return False
    if isinstance(value, (bool, str)):
        return True
    return (
        value == value
        and abs(value) != float("inf")
        and (rules.get("minimum") is None or value >= rules["minimum"])
        and (rules.get("maximum") is None or value <= rules["maximum"])
        and (rules.get("above") is None or value > rules["above"])
        and (not rules.get("odd") or value % 2 == 1)
    )


def _ask_about_levels(name: str, value: float) -> str | None:
    if not 0 < value < 1:
        return None
    if value >= 0.5:
        return f"{value:g} grey levels is less than the step of a file; did you mean {name}=1?"
    meant = max(round(255 * value), 1)
    return (
        f"{value:g} grey levels changes nothing after rounding; did you mean {meant}/255, that is "
        f"{name}={meant}?"
    )


def _ask_about_norm(name: str, value: float) -> str | None:
    if not 0 < value < 0.001:
        return None
    return (
        f"{value:g} of an image's norm vanishes after rounding; expected {name}=0.001 or more, "
        f"such as {name}=0.05"
    )


def levels_parameter(default: float | None, help: str, **rules: Any) -> Any:
    """Declare the size of a change of a pixel, in grey levels up to 255, which are rounded."""
    return parameter(default, help, maximum=255, levels=True, question=_ask_about_levels, **rules)


def relative_parameter(default: float | None, help: str, **rules: Any) -> Any:
    """Declare the norm of a change relative to the image's own, up to 1."""
    return parameter(default, help, maximum=1, question=_ask_about_norm, **rules)


def _spelled(bound: float | None) -> str | None:
    if bound is None or isinstance(bound, int):
        return None if bound is None else str(bound)
    return f"{bound:g}"


def describe(field: dataclasses.Field[Any]) -> str:
    """The values that a field accepts, in words: ``a whole number from 0 to 255``."""
    none = field.metadata.get("none", "none")
    return _described(field) + (f", or {none}" if none != "none" else "")


def _described(field: dataclasses.Field[Any]) -> str:
    rules = field.metadata
    if rules.get("choices") is not None:
        return "one of " + ", ".join(rules["choices"])
    kinds: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number"}
    text = kinds.get(field_type(field), rules.get("what") or "a text")
    if rules.get("odd"):
        text = "an odd whole number"
    low, high, above = (_spelled(rules.get(key)) for key in ("minimum", "maximum", "above"))
    if above is not None:
        return f"{text} above {above}" + (f" up to {high}" if high is not None else "")
    if low is not None and high is not None:
        return f"{text} from {low} to {high}"
    if low is not None:
        return f"{text} of {low} or more"
    if high is not None:
        return f"{text} of {high} or less"
    return text


def limits(field: dataclasses.Field[Any]) -> str:
    """The range of a number, short enough for help: ``2 to 64``, ``above 0``; "" without one.

    Upper bounds of 10,000 and more are left out, since no sensible value comes near them.
    """
    rules = field.metadata
    low, above, high = (rules.get(key) for key in ("minimum", "above", "maximum"))
    if field_type(field) not in (int, float):
        return ""
    high = None if high is not None and high >= _HIDDEN_FROM else high
    parts = ["odd"] if rules.get("odd") else []
    if above is not None:
        parts += [f"above {_spelled(above)}"] + ([f"at most {_spelled(high)}"] if high else [])
    elif low is not None:
        parts += [f"{_spelled(low)} to {_spelled(high)}" if high else f"at least {_spelled(low)}"]
    elif high is not None:
        parts += [f"at most {_spelled(high)}"]
    return ", ".join(parts)


def word_of(field: dataclasses.Field[Any], value: Any) -> str:
    """A value of a field as a user writes it."""
    if value is None:
        return str(field.metadata.get("none", "none"))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)
