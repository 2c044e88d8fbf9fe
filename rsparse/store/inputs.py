"""The inputs of a stage: images from folders, with the labels and records in their manifests."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rsparse.store.files import sha256_of, sha256_of_file
from rsparse.store.finding import Failure, PassedOver, search_images
from rsparse.store.folders import read_manifest, record_of
from rsparse.store.images import ImageFile, image_name
from rsparse.store.journal import Entry
from rsparse.store.records import Source


@dataclass(frozen=True)
class ImageInputs:
    """Input images, and for each the artifact folder it belongs to (or its root).

    ``labels`` holds the labels from the folders' manifests, by name. ``failed`` lists what could
    not be read while searching (``name``, ``path``, ``error``), and ``passed_over`` what looks
    like a picture and is not among the images.
    """

    paths: tuple[Path, ...]
    images: list[ImageFile]
    labels: dict[str, int]
    _owners: dict[str, Path]
    _records: dict[Path, dict[str, Any] | None]
    failed: tuple[Failure, ...] = ()
    passed_over: PassedOver = field(default_factory=PassedOver)

    def names_digest(self) -> str:
        """A digest of the images' names; it is part of a run's identity."""
        return sha256_of("\n".join(image.name for image in self.images).encode())

    def have_records(self) -> bool:
        """Whether every image comes from a folder with a manifest."""
        return all(record is not None for record in self._records.values())

    def only(self, names: Container[str]) -> ImageInputs:
        """The inputs with only the images of these names."""
        kept = [image for image in self.images if image.name in names]
        return replace(self, images=kept)

    def digests(self, without: Container[str] = ()) -> dict[str, str]:
        """Current SHA-256 of the images' files by name, except those in ``without``."""
        images = (image for image in self.images if image.name not in without)
        return {image.name: sha256_of_file(image.path) for image in images}

    def sources(self, digests: Mapping[str, str]) -> tuple[Source, ...]:
        """The sources for a record, from the SHA-256 of each image used, by name."""
        members: dict[Path, list[str]] = {}
        for name in sorted(digests):
            members.setdefault(self._owners[name], []).append(name)
        sources = []
        for owner, names in members.items():
            lines = "".join(f"{name} {digests[name]}\n" for name in names)
            digest = sha256_of(lines.encode()) if owner.is_dir() else digests[names[0]]
            sources.append(Source(owner.resolve().name, digest, self._records[owner]))
        return tuple(sorted(sources, key=lambda source: (source.name, source.sha256)))


def load_inputs(paths: Sequence[Path]) -> ImageInputs:
    """Find the images in ``paths`` and read the manifests of their folders.

    Raises
    ------
    InputError
        As ``search_images`` and ``read_manifest`` do.
    """
    found = search_images(paths)
    manifests = _Manifests()
    images, labels, owners = [], {}, {}
    for image in found.images:
        owner = owners[image.name] = manifests.owner(image.root, image.path.parent)
        entry = manifests.entry(image, owner)
        if entry is not None:
            image = replace(image, sha256=entry["sha256"])
            if isinstance(entry.get("label"), int):
                labels[image.name] = entry["label"]
        images.append(image)
    for name, path in manifests.missing():
        found.fail(name, path, "is missing, although the manifest of its folder lists it")
    records = manifests.records
    return ImageInputs(
        tuple(paths), images, labels, owners, records, tuple(found.failed), found.passed_over
    )


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

    def owner(self, root: Path, folder: Path) -> Path:
        """The nearest folder with a manifest from ``folder`` up to ``root``, else ``root``."""
        place = root, folder
        if place not in self._owners:
            self._owners[place] = self._find_owner(root, folder)
        return self._owners[place]

    def _find_owner(self, root: Path, folder: Path) -> Path:
        top = root if root.is_dir() else root.parent
        for candidate in (folder, *folder.parents):
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

    def entry(self, image: ImageFile, owner: Path) -> Entry | None:
        """The entry of an image in the manifest of its owner."""
        if owner not in self._entries:
            return None
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
