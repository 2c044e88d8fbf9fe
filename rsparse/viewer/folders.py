"""Folders of images as versions of the same images, matched by name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.errors import InputError
from rsparse.store.files import sha256_of_file
from rsparse.store.finding import search_images
from rsparse.store.folders import read_manifest, record_of
from rsparse.store.image_list import ImageList
from rsparse.store.images import decode_image, image_name
from rsparse.viewer.links import Bounds
from rsparse.viewer.versions import (
    ATTACKED,
    ATTENTION,
    BENIGN,
    IMAGES,
    MASK,
    PURIFIED,
    UNKNOWN,
    Pixels,
    Version,
)

KINDS = {
    "select": BENIGN,
    "attack": ATTACKED,
    "purify": PURIFIED,
    "localize": MASK,
    "attention": ATTENTION,
}
"""What the images of a folder are, by the stage that made them."""

_ORDER = (BENIGN, IMAGES, ATTACKED, PURIFIED, MASK, ATTENTION)
_WORDS = {
    "success": "fooled the classifier",
    "nothing_found": "no attack found",
    "linf": "L∞ of the change, grey levels",
    "d": "dissimilarity d",
    "psnr": "PSNR of the change, dB",
    "noise": "noise σ before, grey levels",
    "done": "done",
    "detected": "looked attacked",
    "area": "share of the region",
}
"""The keys of a manifest's entry that are shown, and their words."""


@dataclass(frozen=True)
class ImageFolder:
    """The images in a folder, or a single image, with the manifest if there is one.

    ``entries`` are those of the manifest by name; ``failed`` are messages by name.
    """

    path: Path
    images: ImageList
    record: Mapping[str, Any] | None
    entries: Mapping[str, Mapping[str, Any]]
    failed: Mapping[str, str]

    @property
    def kind(self) -> str:
        """What the images are, by the record."""
        return IMAGES if self.record is None else KINDS.get(self.record["stage"], IMAGES)


def read_folder(path: Path) -> ImageFolder:
    """Find the images of a folder, and read its manifest.

    Raises
    ------
    InputError
        If it contains no images, or its manifest is damaged.
    """
    found = search_images([path])
    failed = {entry["name"]: entry["error"] for entry in found.failed}
    manifest = read_manifest(path) if path.is_dir() else None
    if manifest is None:
        return ImageFolder(path, found.images, None, {}, failed)
    entries = {image_name(entry["file"]): entry for entry in manifest["images"]}
    failed |= {entry["name"]: entry["error"] for entry in manifest["failed"]}
    return ImageFolder(path, found.images, record_of(manifest), entries, failed)


def in_order(folders: Sequence[ImageFolder]) -> list[ImageFolder]:
    """Benign images first, then attacked and purified ones, masks and attention maps."""
    return sorted(folders, key=lambda folder: _ORDER.index(folder.kind))


class FolderVersion(Version):
    """A folder of images as a version of a collection.

    Parameters
    ----------
    folder : ImageFolder
    title, kind : str
    names : sequence of str
        Those of the collection.
    bounds : Bounds
        Where images may be read.
    """

    def __init__(
        self, folder: ImageFolder, title: str, kind: str, names: Sequence[str], bounds: Bounds
    ) -> None:
        self.folder, self.title, self.kind, self.record = folder, title, kind, folder.record
        self._names, self._bounds = names, bounds
        numbers = {name: number for number, name in enumerate(folder.images.names())}
        self._places = np.fromiter((numbers.get(name, -1) for name in names), np.int64, len(names))
        self.present = self._places >= 0
        self.psnr = self._psnr()

    def _psnr(self) -> Any:
        """How much the images were changed; None if the manifest does not tell."""
        if not any("psnr" in entry for entry in self.folder.entries.values()):
            return None
        values = [self.folder.entries.get(name, {}).get("psnr", np.nan) for name in self._names]
        return np.array([np.inf if value is None else value for value in values], np.float64)

    def classes(self, key: str) -> Any:
        """A class in the manifest's entries, int32 (n,); −1 where it is unknown."""
        entries = self.folder.entries
        values = [entries.get(name, {}).get(key, UNKNOWN) for name in self._names]
        return np.array(values, np.int32)

    def digest(self) -> str | None:
        """The digest of the folder as records of its descendants have it; None if unknown."""
        if not self.folder.entries:
            return None
        lines = hashlib.sha256()
        for name in sorted(self.folder.entries):
            lines.update(f"{name} {self.folder.entries[name]['sha256']}\n".encode())
        return lines.hexdigest()

    def path(self, number: int) -> Path:
        """The file of an image, which links have been followed to."""
        place = int(self._places[number])
        name = self._names[number]
        if place < 0:
            reason = self.folder.failed.get(name, "is not in this folder")
            raise InputError(f"{name}: {reason}")
        return self._bounds.resolve(self.folder.images[place].path)

    def load(self, number: int) -> Pixels:
        """The pixels of an image."""
        path = self.path(number)
        image = self.folder.images[int(self._places[number])]
        listed = self.folder.entries.get(image.name, {}).get("sha256")
        return decode_image(replace(image, path=path, sha256=listed).read(), image.path)

    def facts(self, number: int) -> dict[str, Any]:
        """What the manifest says about an image."""
        entry = self.folder.entries.get(self._names[number], {})
        found = {word: entry[key] for key, word in _WORDS.items() if key in entry}
        return {word: _rounded(value) for word, value in found.items()}

    def origin(self, number: int) -> tuple[str | None, str | None]:
        """The digests in the manifest; without one, that of the file."""
        entry = self.folder.entries.get(self._names[number])
        if entry is not None:
            return entry["sha256"], entry.get("source_sha256")
        return sha256_of_file(self.path(number)), None


def _rounded(value: Any) -> Any:
    """A measured number with three digits."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def titles_of(folders: Sequence[ImageFolder]) -> list[str]:
    """The name of each folder, with as many of its parents as tell it from the others."""
    paths = [folder.path.absolute() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        titles = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(titles)) == len(titles):
            break
    return titles


def kinds_of(folders: Sequence[ImageFolder]) -> list[str]:
    """What the folders have; the first without a record is benign beside attacked or clean ones."""
    kinds = [folder.kind for folder in folders]
    if IMAGES in kinds and BENIGN not in kinds and {ATTACKED, PURIFIED} & set(kinds):
        kinds[kinds.index(IMAGES)] = BENIGN
    return kinds
