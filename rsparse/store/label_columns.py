"""Compare the columns of a labels file that could each hold the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rsparse.errors import InputError
from rsparse.store.class_index import ClassIndex, FoundClass


@dataclass
class OtherColumn:
    """A column beside the one of the labels, which may say the same, or something else.

    Attributes
    ----------
    name : str
        As in the header.
    place : int
        Index of the column.
    are_classes : bool
        Whether all its texts so far name classes.
    rows : list of (str, FoundClass, FoundClass)
        The place in the file, the label and the class in this column.
    """

    name: str
    place: int
    are_classes: bool = True
    rows: list[tuple[str, FoundClass, FoundClass]] = field(default_factory=list)

    def add(self, where: str, label: FoundClass, text: str, index: ClassIndex) -> None:
        """Take a row into account; an empty text says nothing."""
        if not text or not self.are_classes:
            return
        found = index.find(text)
        if found is not None:
            self.rows.append((where, label, found))
        elif not index.is_ambiguous(text):
            self.are_classes = False

    def first_class(self) -> int | None:
        """The number of the first class that the column proves: 1 if all its classes are one less.

        None if it proves nothing, because it has no rows or does not fit.
        """
        steps = {label.number - other.number for _, label, other in self.rows}
        if self.are_classes and steps in ({0}, {1}):
            return steps.pop()
        return None

    def refuse_contradiction(self, column: str, index: ClassIndex) -> None:
        """Refuse classes that differ from the labels in any other way.

        Raises
        ------
        InputError
            It names the first place with different classes.
        """
        if not self.are_classes or not self.rows or self.first_class() is not None:
            return
        where, label, other = next(row for row in self.rows if row[1].number != row[2].number)
        raise InputError(
            f"{where}: {column!r} says {_text(label, index)}, {self.name!r} says "
            f"{_text(other, index)}; remove one of these columns"
        )


def compare(
    column: str, others: Sequence[OtherColumn], index: ClassIndex
) -> tuple[int | None, tuple[str, ...]]:
    """The number of the first class if another column shows it, and notes on unused columns.

    Raises
    ------
    InputError
        If two columns contradict each other.
    """
    first, notes = None, []
    for other in others:
        other.refuse_contradiction(column, index)
        shown = other.first_class()
        if shown == 1:
            first = 1
            notes.append(f"classes are counted from 1, as the column {other.name!r} shows")
        elif shown == 0 and first is None and any(label.is_number for _, label, _ in other.rows):
            first = 0
        elif shown is None:
            notes.append(f"the column {column!r} is taken for the labels, not {other.name!r}")
    return first, tuple(notes)


def _text(found: FoundClass, index: ClassIndex) -> str:
    """A class, for messages."""
    if not 0 <= found.number < len(index.class_names) or not index.have_names():
        return f"class {found.number}"
    return f"class {found.number} ({index.class_names[found.number]!r})"
