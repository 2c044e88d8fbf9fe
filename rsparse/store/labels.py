"""Find the labels of images: from a file, a manifest, or the names of their subfolders."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rsparse.errors import InputError, as_text
from rsparse.options.labels import LabelOptions
from rsparse.store.class_folders import NO_SUBFOLDERS, ClassFolders
from rsparse.store.class_index import ClassIndex, counted, counted_from
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

_TABLES = frozenset({".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson"})
_LIKELY = re.compile(r"label|class|truth|target|metadata|annotation|synset", re.IGNORECASE)
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
        if found:
            reasons.append(found)
    if reasons == [NO_SUBFOLDERS]:
        reasons = [f"{NO_SUBFOLDERS}, and {search.other_files()}"]
    return Labels({}, "none", reason="; ".join(reasons))


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

    def other_files(self) -> str:
        """Say that there is no file of labels, and name one that may be one."""
        none = "there is no labels.csv in their folder or beside it"
        for root in dict.fromkeys(image.root for image in self.inputs.images):
            for place in self._places(root):
                found = _tables_in(place)
                if found:
                    return f"{none}; if {as_text(str(found[0]))} has labels, pass it as --labels"
        return none

    @staticmethod
    def _places(root: Path) -> list[Path]:
        """The folders in which labels are looked for."""
        return [root, root.resolve().parent] if root.is_dir() else [root.parent]

    def _file_of(self, root: Path) -> Path | None:
        """The file of labels in a folder or beside it."""
        for place in self._places(root):
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
            numbered = counted(found, first)
            self._check_range(numbered, path.name)
            labels |= numbered
            own = [f"{path.name}: {text}" for text in file.notes]
            if [c.number for c in file.in_order if not c.is_number] == list(range(self.n_classes)):
                own.append(
                    f"{path.name} names each class once, in the model's order; it is taken as the "
                    "labels of the images in the order of their names, not as --class-names"
                )
            notes += [text for text in (unused, note, *own) if text]
        origin = ", ".join(dict.fromkeys(as_text(path.name) for path in names_of))
        return Labels(labels, origin, tuple(names_of), tuple(notes))

    def in_subfolders(self) -> Labels | str:
        """The labels from subfolders that name classes, at the same depth for all images."""
        found = ClassFolders(self.index, self.options.first_class, self.n_classes).find(self.names)
        if isinstance(found, str):
            return found
        return Labels(found.by_name, "class subfolders", notes=found.notes)

    def _first_class(self, file: LabelFile) -> tuple[int, str]:
        """The number of the first class in a file, and a note if it was not said by an option."""
        given = self.options.first_class
        if file.first_class is not None:
            if given not in (None, file.first_class):
                raise InputError(
                    f"{file.path}: --first-class {given} contradicts the names in it, which show "
                    f"that the first class is {file.first_class}"
                )
            return file.first_class, ""
        numbers = {c.number for c in file.classes() if c.is_number}
        first, note = counted_from(given, numbers, self.n_classes)
        if numbers and not note and given is None and 0 not in numbers:
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


def _tables_in(folder: Path) -> list[Path]:
    """The files in a folder whose names say that they may be labels, the best first."""
    try:
        with os.scandir(folder) as scan:
            names = [e.name for e in scan if Path(e.name).suffix.lower() in _TABLES]
    except OSError:
        return []
    likely = [name for name in names if _LIKELY.search(name)]
    return [folder / name for name in sorted(likely)]


def _has_true_labels(path: Path) -> bool:
    """Whether a file is a table like NIPS 2017's, with a column TrueLabel."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return TRUE_LABEL in columns_of(file.readline(10_000))
    except (OSError, UnicodeDecodeError):
        return False
