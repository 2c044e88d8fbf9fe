"""The images and models of an evaluation, as its folder and its record name them."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from rsparse.data import embedded_dictionary
from rsparse.errors import InputError
from rsparse.evaluation.places import images_folder
from rsparse.evaluation.results import Column
from rsparse.store.files import safe_join, sha256_of_file
from rsparse.store.folders import read_manifest
from rsparse.store.images import ImageFile, Pixels, decode_image


class EvaluatedImages:
    """The images of an evaluation's folder, as their manifests list them.

    ``failed`` collects the messages about images that are missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failed: list[str] = []
        self._listed: dict[Path, dict[str, str]] = {}

    def load(self, column: Column, name: str) -> Pixels:
        """An image of a column."""
        try:
            return self._load(column, name)
        except InputError as error:
            self.failed.append(str(error))
            raise

    def _load(self, column: Column, name: str) -> Pixels:
        place = images_folder(column)
        path = safe_join(self.folder, (place / f"{name}.png").as_posix())
        if not path.exists():
            raise InputError("the images that were judged are not in the evaluation's folder")
        if place not in self._listed:
            manifest = read_manifest(self.folder / place) or {"images": ()}
            self._listed[place] = {entry["name"]: entry["sha256"] for entry in manifest["images"]}
        image = ImageFile(name, path, self.folder, sha256=self._listed[place].get(name))
        return decode_image(image.read(), path)


def with_embedded(dictionaries: Mapping[str, Path], known: Container[str]) -> dict[str, Path]:
    """The given dictionaries, and the embedded one if the evaluation used it."""
    given = dict(dictionaries)
    if "" not in given and sha256_of_file(embedded_dictionary()) in known:
        given[""] = embedded_dictionary()
    return given


def refuse_other_model(model: Path, evaluated: str, record: Mapping[str, Any]) -> None:
    """Refuse a model that the evaluation used, but is not about, such as one to transfer from."""
    names = {source["sha256"]: Path(source["name"]).stem for source in record["inputs"]}
    if evaluated in names.values() and names.get(sha256_of_file(model)) != evaluated:
        raise InputError(
            f"{model}: is another model of the evaluation; give {evaluated}, which it is about"
        )


def digests(record: Mapping[str, Any]) -> Iterator[str]:
    """The digests of all inputs in a record, including nested ones."""
    for source in record.get("inputs", ()):
        yield source["sha256"]
        if source.get("record"):
            yield from digests(source["record"])
