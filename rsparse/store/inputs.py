"""The inputs of a stage: images from folders, with the labels and records in their manifests."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rsparse.store.files import sha256_of_file
from rsparse.store.finding import Failure, PassedOver, search_images
from rsparse.store.folders import read_manifest, record_of
from rsparse.store.image_list import Folder, ImageList
from rsparse.store.images import ImageFile, image_name
from rsparse.store.journal import Entry
from rsparse.store.records import Source

Digests = Mapping[str, str] | Iterable[tuple[str, str]]
"""The SHA-256 of images by name, or pairs of name and SHA-256 in the order of the names."""


@dataclass(frozen=True)
class ImageInputs:
    """Input images, sorted by name, and for each folder the artifact it belongs to (or its root).

    ``labels`` holds the labels from the folders' manifests, by name. ``failed`` lists what could
    not be read while searching (``name``, ``path``, ``error``), and ``passed_over`` what looks
    like a picture and is not among the images.
    """

    paths: tuple[Path, ...]
    images: Sequence[ImageFile]
    labels: dict[str, int]
    _all: ImageList
    _owners: list[Path]
    _records: dict[Path, dict[str, Any] | None]
    failed: tuple[Failure, ...] = ()
    passed_over: PassedOver = field(default_factory=PassedOver)

    def names_digest(self) -> str:
        """A digest of the images' names; it is part of a run's identity."""
        digest, separator = hashlib.sha256(), ""
        for name in names_of(self.images):
            digest.update((separator + name).encode())
            separator = "\n"
        return digest.hexdigest()

    def have_records(self) -> bool:
        """Whether every image comes from a folder with a manifest."""
        return all(record is not None for record in self._records.values())

    def were_attacked(self) -> bool:
        """Whether any of them was attacked, or made from attacked ones, by their records."""
        return any(map(_is_attacked, self._records.values()))

    def only(self, names: Container[str]) -> ImageInputs:
        """The inputs with only the images of these names."""
        kept = [image for image in self.images if image.name in names]
        return replace(self, images=kept)

    def digests(self, without: Container[str] = ()) -> dict[str, str]:
        """Current SHA-256 of the images' files by name, except those in ``without``."""
        images = (image for image in self.images if image.name not in without)
        return {image.name: sha256_of_file(image.path) for image in images}

    def sources(self, digests: Digests) -> tuple[Source, ...]:
        """The sources for a record.

        Parameters
        ----------
        digests : Digests
            Those of the images used.
        """
        pairs = sorted(digests.items()) if isinstance(digests, Mapping) else digests
        members: dict[Path, _Members] = {}
        places = zip(self._all.names(), self._all.places, strict=True)
        for name, digest in pairs:
            place = next((place for found, place in places if found == name), None)
            if place is None:
                raise KeyError(name)
            members.setdefault(self._owners[place], _Members(digest)).add(name, digest)
        sources = [
            Source(owner.resolve().name, used.digest(owner), self._records[owner])
            for owner, used in members.items()
        ]
        return tuple(sorted(sources, key=lambda source: (source.name, source.sha256)))


def _is_attacked(record: Mapping[str, Any] | None) -> bool:
    if record is None:
        return False
    own = record["stage"] == "attack"
    return own or any(_is_attacked(source["record"]) for source in record["inputs"])


class _Members:
    """The images of one owner: a folder, or a file that is the only one."""

    def __init__(self, first: str) -> None:
        self._first, self._lines = first, hashlib.sha256()

    def add(self, name: str, digest: str) -> None:
        self._lines.update(f"{name} {digest}\n".encode())

    def digest(self, owner: Path) -> str:
        return self._lines.hexdigest() if owner.is_dir() else self._first


def names_of(images: Sequence[ImageFile]) -> Iterable[str]:
    """The images' names, without making each image of a long list."""
    return images.names() if isinstance(images, ImageList) else (image.name for image in images)


def load_inputs(paths: Sequence[Path]) -> ImageInputs:
    """Find the images in ``paths`` and read the manifests of their folders.

    Raises
    ------
    InputError
        As ``search_images`` and ``read_manifest`` do.
    """
    found = search_images(paths)
    manifests = _Manifests()
    images, labels = found.images, {}
    owners = [manifests.owner(folder) for folder in images.folders]
    for number, place in enumerate(images.places):
        if not manifests.list_images_of(owners[place]):
            continue
        image = images[number]
        entry = manifests.entry(image, owners[place])
        if entry is not None:
            images.set_digest(number, entry["sha256"])
            if isinstance(entry.get("label"), int):
                labels[image.name] = entry["label"]
    for name, path in manifests.missing():
        found.fail(name, path, "is missing, although the manifest of its folder lists it")
    more = tuple(found.failed), found.passed_over
    return ImageInputs(tuple(paths), images, labels, images, owners, manifests.records, *more)


class _Manifests:
    """The manifests of the folders that images are in.

    Attributes
    ----------
    records : dict
        The record of each folder with a manifest; None for an input without one.
    """

    def __init__(self) -> None:
        self.records: dict[Path, dict[str, Any] | None] = {}
        self._entries: dict[Path, dict[str, Entry]] = {}
        self._owners: dict[tuple[Path, Path], Path] = {}
        self._seen: dict[Path, set[str]] = {}

    def owner(self, folder: Folder) -> Path:
        """The nearest folder with a manifest, from a folder up to its root, else the root."""
        owner = self._find_owner(folder)
        self._owners[folder.root, folder.path] = owner
        return owner

    def _find_owner(self, folder: Folder) -> Path:
        root, path = folder.root, folder.path
        top = root if folder.below is not None else root.parent
        for candidate in (path, *path.parents):
            if candidate not in self.records:
                manifest = read_manifest(candidate)
                if manifest is not None:
                    self.records[candidate] = record_of(manifest)
                    entries = {image_name(entry["file"]): entry for entry in manifest["images"]}
                    self._entries[candidate] = entries
            if self.records.get(candidate) is not None:
                return candidate
            if candidate == top:
                break
        self.records.setdefault(root, None)
        return root

    def list_images_of(self, owner: Path) -> bool:
        """Whether the owner has a manifest."""
        return owner in self._entries

    def entry(self, image: ImageFile, owner: Path) -> Entry | None:
        """The entry of an image in the manifest of its owner."""
        name = image_name(image.path.relative_to(owner).as_posix())
        self._seen.setdefault(owner, set()).add(name)
        return self._entries[owner].get(name)

    def missing(self) -> Iterator[tuple[str, Path]]:
        """The images that manifests list in input folders, but that are not there."""
        roots = dict.fromkeys((root, owner) for (root, _), owner in self._owners.items())
        for root, owner in roots:
            if not root.is_dir():
                continue
            for name, entry in self._entries.get(owner, {}).items():
                path = owner / entry["file"]
                if name not in self._seen[owner] and path.is_relative_to(root):
                    yield image_name(path.relative_to(root).as_posix()), path
