"""Find the images in folders, and what else lies there that should not be lost without a word."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsparse.errors import InputError, as_text, is_of_machine, reason, system_error
from rsparse.store.file_kinds import READABLE, SUFFIXES, picture_kind_of_file
from rsparse.store.given import is_folder_of_images, refuse_other_file
from rsparse.store.image_list import Folder, ImageList, sorted_by_name

NOT_UTF8 = "its name is not valid UTF-8; rename it"
Failure = dict[str, str]
_Inode = tuple[int, int]
_MAX_VISITS = 1000
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".7z", ".rar")
_LISTED = 1000
_SHOWN = 3


@dataclass
class PassedOver:
    """Files that look like pictures, by content or suffix, but are not among the images.

    Attributes
    ----------
    count : int
    files : list of (str, str)
        The first ones: the path below the folder, and why it is not an image.
    """

    count: int = 0
    files: list[tuple[str, str]] = field(default_factory=list)

    def add(self, file: str, why: str) -> None:
        """Count a file."""
        self.count += 1
        if len(self.files) < _LISTED:
            self.files.append((file, why))

    def sentence(self) -> str:
        """Say how many there are and name some; "" if there are none."""
        if not self.count:
            return ""
        shown = ", ".join(f"{file} ({why})" for file, why in self.files[:_SHOWN])
        more = f" and {self.count - _SHOWN} more" if self.count > _SHOWN else ""
        noun = (
            "file that looks like a picture" if self.count == 1 else "files that look like pictures"
        )
        return f"passed over {self.count} {noun}: {shown}{more}"

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {"count": self.count, "files": [{"file": f, "why": why} for f, why in self.files]}


@dataclass
class FoundImages:
    """What a search found.

    Attributes
    ----------
    images : ImageList
        Sorted by name.
    failed : list of dict
        Folders that cannot be read and names that cannot be used: ``name``, ``path``, ``error``.
    passed_over : PassedOver
    """

    images: ImageList = field(default_factory=ImageList)
    failed: list[Failure] = field(default_factory=list)
    passed_over: PassedOver = field(default_factory=PassedOver)

    def fail(self, name: str, path: Path, why: str) -> None:
        """Add what cannot be read."""
        shown = as_text(str(path))
        self.failed.append({"name": as_text(name), "path": shown, "error": f"{shown}: {why}"})


def find_images(inputs: Sequence[Path]) -> ImageList:
    """Return the images that ``search_images`` finds."""
    return search_images(inputs).images


def search_images(inputs: Sequence[Path]) -> FoundImages:
    """Search folders (recursively) and take single files, whatever their suffix.

    Links to files and folders are followed, but not back to a folder that contains the link.
    Hidden files and folders, and files without an image suffix, are ignored.

    Raises
    ------
    InputError
        If an input is missing or cannot be read, the only one is no image, a folder contains no
        images, an input lies in another one, or two files have the same name.
    """
    found = FoundImages()
    _refuse_inputs_within_inputs(inputs)
    for root in inputs:
        images, failures = len(found.images), len(found.failed)
        _add_images(root, found)
        if len(found.images) == images and root.is_dir():
            raise _no_images(root, found.failed[failures:], found.passed_over)
    if len(inputs) == 1:  # beside others it is one bad image, which does not stop them
        refuse_other_file(inputs[0])
    if not found.images and found.failed:
        raise InputError(found.failed[0]["error"])
    found.images = sorted_by_name(found.images)
    return found


def _refuse_inputs_within_inputs(inputs: Sequence[Path]) -> None:
    """Refuse images that would be found twice, perhaps under two names, and so count twice."""
    folders: dict[Path, Path] = {}
    for given in inputs if len(inputs) > 1 else ():
        place = _resolved(given)
        if place is None or not place.is_dir():
            continue
        if place in folders:
            raise InputError(f"{given}: is the same folder as {folders[place]}; give it once")
        folders[place] = given
    for given in inputs if folders else ():
        place = _resolved(given)
        if place is None or not (place.is_dir() or place.suffix.lower() in SUFFIXES):
            continue
        for folder in place.parents:
            if folder in folders and not _is_hidden(place, folder):
                raise InputError(
                    f"{given}: lies in {folders[folder]}, which is also given; give only one"
                )


def _resolved(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of links; the search tells it
        return None


def _is_hidden(path: Path, folder: Path) -> bool:
    """Whether the search of a folder does not reach a path below it."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _no_images(root: Path, failed: Sequence[Failure], passed_over: PassedOver) -> InputError:
    """The error for a folder without images; it says what else is there."""
    if failed:
        more = f" (and {len(failed) - 1} more failed)" if len(failed) > 1 else ""
        return InputError(failed[0]["error"] + more)
    suffixes, passed = ", ".join(sorted(SUFFIXES)), passed_over.sentence()
    packed = sorted(path.name for path in root.iterdir() if path.name.lower().endswith(_ARCHIVES))
    hints = [passed, *(f"unpack {name} first" for name in packed[:1])]
    return InputError("; ".join([f"{root}: contains no images ({suffixes})", *filter(None, hints)]))


def _add_images(root: Path, found: FoundImages) -> None:
    if is_folder_of_images(root):
        _Walk(root, found).add_images()
    elif _is_text(root.stem):
        found.images.folders.append(Folder(root, None))
        found.images.add(len(found.images.folders) - 1, b"")
    else:
        found.fail(root.stem, root, NOT_UTF8)


class _Walk:
    """A search of one folder."""

    def __init__(self, root: Path, found: FoundImages) -> None:
        self.root, self.found = root, found
        self.visits: Counter[_Inode] = Counter()

    def add_images(self) -> None:
        """Add the images in the folder and its subfolders to what was found.

        A folder is known by its device and inode, so that a link back up is recognized.
        """
        pending = [("", frozenset(_inodes(self.root.resolve().parents)))]
        while pending:
            below, above = pending.pop()
            folder = self.root / below
            try:
                own = _inode(folder)
                if own in above:
                    continue
                with os.scandir(folder) as scan:
                    entries = sorted(scan, key=lambda entry: entry.name)
            except OSError as error:
                if is_of_machine(error):
                    raise system_error(error, f"{folder}: cannot be read") from error
                self.found.fail(below, folder, f"cannot be read: {reason(error)}")
                continue
            self._refuse_maze(folder, own)
            folders = self._add_images_of(below, entries)
            pending += [
                (name, above | {own}) for name in reversed(folders) if self._is_usable(name)
            ]

    def _add_images_of(self, below: str, entries: Sequence[os.DirEntry[str]]) -> list[str]:
        """Add the images of one folder, and return its subfolders."""
        folders, files = [], []
        for entry in entries:
            file = below + entry.name
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                folders.append(f"{file}/")
            elif self._is_image(file, entry):
                files.append(entry.name.encode())
        images = self.found.images
        if files:
            images.folders.append(Folder(self.root, below))
        for name in files:
            images.add(len(images.folders) - 1, name)
        return folders

    def _refuse_maze(self, folder: Path, own: _Inode) -> None:
        """Refuse links that lead to the same folder in very many ways."""
        self.visits[own] += 1
        if self.visits[own] > _MAX_VISITS:
            raise InputError(f"{folder}: links lead here in more than {_MAX_VISITS} ways")

    def _is_image(self, file: str, entry: os.DirEntry[str]) -> bool:
        """Whether a file is an image; remember it if it only looks like one."""
        suffix = os.path.splitext(entry.name)[1]
        if suffix.lower() in SUFFIXES:
            return self._is_usable(file)
        path = self.root / file
        if not _is_file(entry):
            if entry.is_symlink() and not suffix:  # it may have been a class folder
                self.found.fail(file, path, "is a link to something that does not exist")
            return False
        kind = picture_kind_of_file(path)
        if kind is not None:
            why = f"{kind} without its suffix" if kind in READABLE else kind
            self.found.passed_over.add(as_text(file), why)
        return False

    def _is_usable(self, file: str) -> bool:
        """Whether a file or folder has a name that can be used; remember it if not."""
        if _is_text(file):
            return True
        self.found.fail(file, self.root / file, NOT_UTF8)
        return False


def _inode(folder: Path) -> _Inode:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _inodes(folders: Iterable[Path]) -> Iterator[_Inode]:
    for folder in folders:
        try:
            yield _inode(folder)
        except OSError:  # cannot be reached from here by a link either
            pass


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_text(name: str) -> bool:
    """Whether a name is valid text, since names are written to JSON and HDF5."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
