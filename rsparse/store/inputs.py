"""The inputs of a stage: images from folders, with the labels and records in their manifests."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rsparse.store.files import sha256_of, sha256_of_file
from rsparse.store.finding import Failure, PassedOver, search_images
from rsparse.store.folders import read_manifest, record_of
from rsparse.store.images import ImageFile, image_name
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
    images = found.images
    records: dict[Path, dict[str, Any] | None] = {}
    labels: dict[str, int] = {}
    owners: dict[str, Path] = {}
    known: dict[tuple[Path, Path], Path] = {}
    by_file: dict[Path, dict[str, int]] = {}
    for image in images:
        place = (image.root, image.path.parent)
        if place not in known:
            known[place] = _owner(image.path.parent, image.root, records, by_file)
        owner = owners[image.name] = known[place]
        if owner in by_file:
            label = by_file[owner].get(image_name(image.path.relative_to(owner).as_posix()))
            if label is not None:
                labels[image.name] = label
    return ImageInputs(
        tuple(paths), images, labels, owners, records, tuple(found.failed), found.passed_over
    )


def _owner(
    folder: Path,
    root: Path,
    records: dict[Path, dict[str, Any] | None],
    by_file: dict[Path, dict[str, int]],
) -> Path:
    """The nearest folder with a manifest from ``folder`` up to ``root``, else ``root``."""
    top = root if root.is_dir() else root.parent
    for candidate in (folder, *folder.parents):
        if candidate not in records:
            manifest = read_manifest(candidate)
            if manifest is not None:
                records[candidate] = record_of(manifest)
                by_file[candidate] = {
                    image_name(entry["file"]): entry["label"]
                    for entry in manifest["images"]
                    if isinstance(entry.get("label"), int)
                }
        if records.get(candidate) is not None:
            return candidate
        if candidate == top:
            break
    records.setdefault(root, None)
    return root
