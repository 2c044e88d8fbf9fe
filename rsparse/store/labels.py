"""Find the labels of images: from a file, a manifest, or the names of their subfolders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from rsparse.errors import InputError, as_text
from rsparse.options.labels import LabelOptions
from rsparse.store.class_index import ClassIndex, FoundClass, is_identifier
from rsparse.store.files import sha256_of_file
from rsparse.store.inputs import ImageInputs
from rsparse.store.label_files import (
    TRUE_LABEL,
    LabelFile,
    columns_of,
    match_names,
    read_label_file,
)
from rsparse.store.records import Source

NAMES_OF_FILES = ("labels.csv", "images.csv")
"""The files that are looked for in the folder of the images and beside it."""

OWN_PREDICTIONS = "the model's own predictions"
"""The origin of labels that a command takes from the classifier itself."""

_GROUND_TRUTH = re.compile(r"ilsvrc.*ground_truth", re.IGNORECASE)
_WITH_BACKGROUND = 1001
"""Number of outputs of ImageNet classifiers whose class 0 is the background."""

_COUNTED_FROM_0 = "classes are counted from 0; if the first one is 1, pass --first-class 1"
_ILSVRC_ORDER = (
    "ILSVRC counts classes from 1, in the order of its development kit; most models have another "
    "order, which needs a file of identifiers such as n01440764"
)


@dataclass(frozen=True)
class Labels:
    """The labels of images, and where they come from.

    Attributes
    ----------
    by_name : mapping of str to int
        The class of every image, counted from 0; empty if there are no labels.
    origin : str
        The name of the file, ``"manifest"``, ``"class subfolders"`` or ``"none"``.
    files : tuple of Path
        The files that they were read from.
    notes : tuple of str
        Sentences that the user should see, such as how many labels of a file were not used.
    reason : str
        Why there are no labels, with an example; "" if there are.
    """

    by_name: Mapping[str, int]
    origin: str
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str = ""

    def sources(self) -> list[Source]:
        """The files as sources in a record."""
        return [Source(path.name, sha256_of_file(path)) for path in self.files]

    def sentences(self) -> list[str]:
        """The notes; if there are no labels, the reason."""
        return [*self.notes, *([f"no labels: {self.reason}"] if self.reason else [])]


def find_labels(
    inputs: ImageInputs, options: LabelOptions, class_names: Sequence[str], n_classes: int
) -> Labels:
    """Find the labels of all images.

    They come from the file in ``options`` if it is given, else from the manifests of the images,
    from a file ``labels.csv`` (or NIPS 2017's ``images.csv``) in their folder or beside it, or
    from subfolders that all name a class (``cat/01.png``). A source that does not label every
    image is not used.

    Raises
    ------
    InputError
        If the file in ``options`` does not label every image, or a label in it or in a manifest
        is not a class of the model.
    """
    search = _Search(inputs, options, ClassIndex(class_names), n_classes)
    if options.file is not None:
        return search.in_files({options.file: search.names})
    reasons = []
    for source in (search.in_manifests, search.beside_images, search.in_subfolders):
        found = source()
        if isinstance(found, Labels):
            return found
        reasons.append(found)
    given = [reason for reason in reasons if reason]
    return Labels({}, "none", reason="; ".join(given))


class _Search:
    """The search for the labels of some images; each source gives labels or why it has none."""

    def __init__(
        self, inputs: ImageInputs, options: LabelOptions, index: ClassIndex, n_classes: int
    ) -> None:
        self.inputs, self.options, self.index, self.n_classes = inputs, options, index, n_classes
        self.names = [image.name for image in inputs.images]

    def in_manifests(self) -> Labels | str:
        """The labels in the manifests of all images."""
        known = self.inputs.labels
        labels = {name: known[name] for name in self.names if name in known}
        if len(labels) == len(self.names):
            self._check_range(labels, "manifest")
            return Labels(labels, "manifest")
        if not labels:
            return ""
        example = next(name for name in self.names if name not in labels)
        return f"the manifest labels {len(labels)} of {len(self.names)} images, not {example!r}"

    def beside_images(self) -> Labels | str:
        """The labels in files with known names in the images' folders or beside them."""
        members: dict[Path, list[str]] = {}
        for image in self.inputs.images:
            members.setdefault(image.root, []).append(image.name)
        named: dict[Path, list[str]] = {}
        for root, names in members.items():
            path = self._file_of(root)
            if path is None:
                return ""
            named.setdefault(path, []).extend(names)
        try:
            found = self.in_files(named)
        except InputError as error:
            return str(error)
        return replace(found, notes=(*found.notes, *self._contradictions(found)))

    def _contradictions(self, found: Labels) -> list[str]:
        """A sentence if the images' subfolders name other classes."""
        folders = self.in_subfolders()
        if isinstance(folders, str):
            return []
        other = [n for n in self.names if folders.by_name[n] != found.by_name[n]]
        if not other:
            return []
        return [
            f"{found.origin} and the class subfolders differ for {len(other)} of "
            f"{len(self.names)} images, such as {other[0]!r}; {found.origin} is used"
        ]

    def _file_of(self, root: Path) -> Path | None:
        """The file of labels in a folder or beside it."""
        places = [root, root.resolve().parent] if root.is_dir() else [root.parent]
        for place in places:
            for name in NAMES_OF_FILES:
                path = place / name
                if path.is_file() and (name == NAMES_OF_FILES[0] or _has_true_labels(path)):
                    return path
        return None

    def in_files(self, names_of: Mapping[Path, Sequence[str]]) -> Labels:
        """The labels in files, given the names of the images that each file labels."""
        labels: dict[str, int] = {}
        notes = []
        for path, names in names_of.items():
            file = read_label_file(path, self.index)
            found, unused = match_names(file, names)
            first, note = self._first_class(file)
            numbered = _counted(found, first)
            self._check_range(numbered, path.name)
            labels |= numbered
            notes += [text for text in (unused, note) if text]
        origin = ", ".join(dict.fromkeys(as_text(path.name) for path in names_of))
        return Labels(labels, origin, tuple(names_of), tuple(notes))

    def in_subfolders(self) -> Labels | str:
        """The labels from subfolders that name classes, at the same depth for all images."""
        folders = [PurePosixPath(name).parts[:-1] for name in self.names]
        if not any(folders):
            return (
                "the images are in no subfolders, and there is no labels.csv in their folder or "
                "beside it"
            )
        reason = ""
        for depth in range(1, min(map(len, folders)) + 1):
            chosen = [parts[-depth] for parts in folders]
            found = self._classes_of(dict.fromkeys(chosen))
            if not isinstance(found, str):
                classes, note = found
                by_name = {n: classes[c] for n, c in zip(self.names, chosen, strict=True)}
                return Labels(by_name, "class subfolders", notes=(note,) if note else ())
            reason = reason or found
        example = self.names[folders.index(())] if () in folders else ""
        return reason or f"the image {example!r} is in no subfolder"

    def _classes_of(self, folders: Iterable[str]) -> tuple[dict[str, int], str] | str:
        """The class of each folder and a note on them, or why they are no classes."""
        found: dict[str, FoundClass] = {}
        for folder in folders:
            label = self.index.find(folder)
            if label is None:
                return self._unknown(folder)
            found[folder] = label
        numbers = {folder: c.number for folder, c in found.items() if c.is_number}
        first, note = _counted_from(self.options, numbers.values(), self.n_classes)
        classes = _counted(found, first)
        for folder, number in classes.items():
            if not 0 <= number < self.n_classes:
                return f"the subfolder {folder!r} is none of the classes {self._range(first)}"
        if not note and self.index.have_names() and numbers:
            folder = next(iter(numbers))
            name = self.index.class_names[classes[folder]]
            note = f"the subfolders are taken as class numbers: {folder!r} is {name!r}"
        return classes, note and f"class subfolders: {note}"

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

    def _range(self, first: int) -> str:
        return f"{first} to {self.n_classes - 1 + first}"

    def _first_class(self, file: LabelFile) -> tuple[int, str]:
        """The number of the first class in a file, and a note if it was not said by an option."""
        numbers = {c.number for c in file.classes() if c.is_number}
        first, note = _counted_from(self.options, numbers, self.n_classes)
        if numbers and not note and self.options.first_class is None and 0 not in numbers:
            first, note = self._convention(file, max(numbers))
        return first, note and f"{file.path.name}: {note}"

    def _convention(self, file: LabelFile, largest: int) -> tuple[int, str]:
        """``_first_class`` for numbers that do not show it themselves."""
        is_ground_truth = _GROUND_TRUTH.search(file.path.name) is not None
        if file.column != TRUE_LABEL and not is_ground_truth:
            return 0, _COUNTED_FROM_0 if file.in_order else ""
        if self.n_classes == _WITH_BACKGROUND and largest < _WITH_BACKGROUND:
            return 0, "its class 1 is the model's class 1, after the background"
        if is_ground_truth:
            return 1, _ILSVRC_ORDER
        return 1, "TrueLabel counts classes from 1, as in NIPS 2017"

    def _check_range(self, labels: Mapping[str, int], where: str) -> None:
        for name, label in labels.items():
            if not 0 <= label < self.n_classes:
                raise InputError(
                    f"{where}: label of {name!r}: expected a class from 0 to "
                    f"{self.n_classes - 1}, got {label}"
                )


def _has_true_labels(path: Path) -> bool:
    """Whether a file is a table like NIPS 2017's, with a column TrueLabel."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return TRUE_LABEL in columns_of(file.readline(10_000))
    except (OSError, UnicodeDecodeError):
        return False


def _counted(found: Mapping[str, FoundClass], first: int) -> dict[str, int]:
    """The classes counted from 0, where numbers count from ``first``."""
    return {name: c.number - (first if c.is_number else 0) for name, c in found.items()}


def _counted_from(options: LabelOptions, numbers: Iterable[int], n_classes: int) -> tuple[int, str]:
    """The number of the first class, and a note if the numbers show that it is 1.

    They do if one of them equals the number of classes and none is 0.
    """
    if options.first_class is not None:
        return options.first_class, ""
    known = set(numbers)
    if known and max(known) == n_classes and min(known) > 0:
        return 1, f"classes are counted from 1, since there is a class {n_classes} and no class 0"
    return 0, ""
