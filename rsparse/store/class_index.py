"""Find the class that a text means: a folder's name, or a label in a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

_IDENTIFIER = re.compile(r"([a-z]\d{8})[\s,:]+(.+)")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_SEPARATORS = re.compile(r"[\s_-]+")
_SHOWN = 2


class FoundClass(NamedTuple):
    """A class, and whether it was given as a number, whose count may begin at 0 or 1."""

    number: int
    is_number: bool


class ClassIndex:
    """The classes of a model by all texts that name exactly one of them.

    These are, in this order: the whole name; the WordNet identifier in front of it (``n01440764``
    in ``n01440764 tench, Tinca tinca``); the class number; a part of the name between commas; and
    the latter without regard to case, underscores and hyphens.

    Parameters
    ----------
    class_names : sequence of str
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = class_names
        parts = [_parts(name) for name in class_names]
        self._names = _unique([name] for name in class_names)
        self._identifiers = _unique(_identifiers(name) for name in class_names)
        self._parts = _unique(parts)
        self._folded = _unique(list(map(_folded, texts)) for texts in parts)

    def find(self, text: str) -> FoundClass | None:
        """The class that a text means; None if it means none or several.

        A class number may be out of range.
        """
        if text in self._names:
            number = self._names[text]
            return None if number is None else FoundClass(number, text == str(number))
        if text in self._identifiers:
            return self._named(self._identifiers[text])
        if _NUMBER.fullmatch(text):
            return FoundClass(int(text), True)
        if text in self._parts:
            return self._named(self._parts[text])
        return self._named(self._folded.get(_folded(text)))

    def is_ambiguous(self, text: str) -> bool:
        """Whether several classes have this name."""
        tables = ((self._names, text), (self._parts, text), (self._folded, _folded(text)))
        return any(key in table and table[key] is None for table, key in tables)

    def have_identifiers(self) -> bool:
        """Whether the names of the classes contain WordNet identifiers."""
        return bool(self._identifiers)

    def have_names(self) -> bool:
        """Whether the classes have names, not only numbers."""
        return any(name != str(number) for number, name in enumerate(self.class_names))

    def examples(self) -> str:
        """Some classes, for messages."""
        shown = ", ".join(map(repr, self.class_names[:_SHOWN]))
        return shown + (", …" if len(self.class_names) > _SHOWN else "")

    @staticmethod
    def _named(number: int | None) -> FoundClass | None:
        return None if number is None else FoundClass(number, False)


def counted(found: Mapping[str, FoundClass], first: int) -> dict[str, int]:
    """The classes counted from 0, where numbers count from ``first``."""
    return {name: c.number - (first if c.is_number else 0) for name, c in found.items()}


def counted_from(given: int | None, numbers: Iterable[int], n_classes: int) -> tuple[int, str]:
    """The number of the first class, and a note if the numbers show that it is 1.

    They do if one of them equals the number of classes and none is 0. ``given`` is what the user
    says, which counts more.
    """
    if given is not None:
        return given, ""
    known = set(numbers)
    if known and max(known) == n_classes and min(known) > 0:
        return 1, f"classes are counted from 1, since there is a class {n_classes} and no class 0"
    return 0, ""


def is_identifier(text: str) -> bool:
    """Whether a text is a WordNet identifier such as ``n01440764``."""
    return re.fullmatch(r"[a-z]\d{8}", text) is not None


def _identifiers(name: str) -> list[str]:
    found = _IDENTIFIER.match(name)
    return [found[1]] if found else []


def _parts(name: str) -> list[str]:
    found = _IDENTIFIER.match(name)
    rest = found[2] if found else name
    return list(dict.fromkeys([rest, *(part.strip() for part in rest.split(","))]))


def _folded(text: str) -> str:
    return _SEPARATORS.sub(" ", text).strip().casefold()


def _unique(texts: Iterable[Iterable[str]]) -> dict[str, int | None]:
    """Each text of each class with its class; None if several classes have it."""
    classes: dict[str, int | None] = {}
    for number, own in enumerate(texts):
        for text in dict.fromkeys(own):
            classes[text] = None if text in classes else number
    classes.pop("", None)
    return classes
