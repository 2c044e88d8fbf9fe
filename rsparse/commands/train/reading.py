"""Read all images once before a training, so that unusable images are reported at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rsparse.errors import InputError
from rsparse.store.files import sha256_of_file
from rsparse.store.images import ImageFile
from rsparse.store.journal import Entry
from rsparse.work.runs import load_image


@dataclass(frozen=True)
class ReadStep:
    """Checks that an image and its purified versions can be read, and records their digests."""

    versions: Mapping[str, Mapping[str, ImageFile]]

    def __call__(self, image: ImageFile) -> Entry:
        entry: Entry = {"name": image.name, "source_sha256": load_image(image)[1], "versions": {}}
        for version, files in self.versions.items():
            if image.name not in files:
                raise InputError(f"is not among the {version} images")
            entry["versions"][version] = load_image(files[image.name])[1]
        return entry

    def is_current(self, entry: Entry) -> bool:
        """Whether the versions still have the digests in an entry."""
        digests = {
            version: sha256_of_file(files[entry["name"]].path)
            for version, files in self.versions.items()
            if entry["name"] in files
        }
        return digests == entry["versions"]
