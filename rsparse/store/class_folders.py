"""Find the labels of images in the names of their subfolders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from rsparse.store.class_index import ClassIndex, FoundClass, counted, counted_from, is_identifier

NO_SUBFOLDERS = "the images are in no subfolders"


@dataclass(frozen=True)
class FolderLabels:
    """The classes of images, by name, and sentences on them.

    ``are_numbers`` tells whether a subfolder is the number of a class instead of its name.
    """

    by_name: dict[str, int]
    notes: tuple[str, ...]
    are_numbers: bool


class ClassFolders:
    """The search for subfolders that name classes.

    Parameters
    ----------
    index : ClassIndex
    first_class : int or None
        The number of the first class in numbers, as the user says.
    n_classes : int
    """

    def __init__(self, index: ClassIndex, first_class: int | None, n_classes: int) -> None:
        self.index, self.first_class, self.n_classes = index, first_class, n_classes

    def find(self, names: Sequence[str]) -> FolderLabels | str:
        """The labels of all images, from one depth of subfolders, or why there are none.

        If the subfolders of several depths name classes, names count more than numbers, and inner
        subfolders more than outer ones; a note says so if the classes differ.
        """
        folders = [PurePosixPath(name).parts[:-1] for name in names]
        if not any(folders):
            return NO_SUBFOLDERS
        found: dict[int, FolderLabels] = {}
        reason = ""
        for depth in range(1, min(map(len, folders)) + 1):
            chosen = [parts[-depth] for parts in folders]
            labels = self._labels(names, chosen)
            if isinstance(labels, str):
                reason = reason or labels
            else:
                found[depth] = labels
        if found:
            return _best(found, dict(zip(names, folders, strict=True)))
        example = names[folders.index(())] if () in folders else ""
        return reason or f"the image {example!r} is in no subfolder"

    def _labels(self, names: Sequence[str], chosen: Sequence[str]) -> FolderLabels | str:
        """The labels from one subfolder of each image, or why they are no classes."""
        found: dict[str, FoundClass] = {}
        for folder in dict.fromkeys(chosen):
            label = self.index.find(folder)
            if label is None:
                return self._unknown(folder)
            found[folder] = label
        numbers = {folder: c.number for folder, c in found.items() if c.is_number}
        first, note = counted_from(self.first_class, numbers.values(), self.n_classes)
        classes = counted(found, first)
        for folder, number in classes.items():
            if not 0 <= number < self.n_classes:
                last = self.n_classes - 1 + first
                return f"the subfolder {folder!r} is none of the classes {first} to {last}"
        if not note and self.index.have_names() and numbers:
            folder = next(iter(numbers))
            name = self.index.class_names[classes[folder]]
            note = f"the subfolders are taken as class numbers: {folder!r} is {name!r}"
        by_name = {n: classes[c] for n, c in zip(names, chosen, strict=True)}
        notes = (f"class subfolders: {note}",) if note else ()
        return FolderLabels(by_name, notes, bool(numbers))

    def _unknown(self, folder: str) -> str:
        """Why a folder names no class."""
        if self.index.is_ambiguous(folder):
            return f"several classes are named {folder!r} like a subfolder"
        if not self.index.have_names():
            return (
                f"the subfolder {folder!r} is not the number of a class, and the model's classes "
                "have no names; --class-names FILE names them"
            )
        text = f"the subfolder {folder!r} is not among the classes {self.index.examples()}"
        if is_identifier(folder) and not self.index.have_identifiers():
            text += ", which have no identifiers; --class-names FILE with them would name it"
        return text


def _best(found: dict[int, FolderLabels], folders: dict[str, Sequence[str]]) -> FolderLabels:
    """The labels of the best depth; a note if another depth gives other labels."""
    best = min(found, key=lambda depth: (found[depth].are_numbers, depth))
    chosen = found[best]
    for depth, other in found.items():
        differ = [n for n, label in chosen.by_name.items() if other.by_name[n] != label]
        if differ:
            taken, left = folders[differ[0]][-best], folders[differ[0]][-depth]
            note = (
                f"class subfolders: both {taken!r} and {left!r} name a class of {differ[0]!r}; "
                f"{taken!r} is taken, as are subfolders at its depth for all images"
            )
            return FolderLabels(chosen.by_name, (*chosen.notes, note), chosen.are_numbers)
    return chosen
