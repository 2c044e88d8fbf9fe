"""Collections: folders matched by name, and what tables and manifests say about their images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rsparse.errors import InputError
from rsparse.viewer.artifacts import Artifacts
from rsparse.viewer.folders import (
    FolderVersion,
    ImageFolder,
    in_order,
    kinds_of,
    read_folder,
    titles_of,
)
from rsparse.viewer.links import Bounds
from rsparse.viewer.tables import Tables, version_of
from rsparse.viewer.versions import (
    ATTACKED,
    BENIGN,
    PURIFIED,
    UNKNOWN,
    Classes,
    Collection,
    Predictions,
    Scene,
)


class FolderCollection(Collection):
    """Folders of versions of the same images.

    Raises
    ------
    InputError
        If an artifact cannot be used, or two folders have no names in common.
    """

    def __init__(self, artifacts: Artifacts, follow_links: bool = False) -> None:
        folders = in_order([read_folder(path) for path in artifacts.images])
        self.names = _names(folders)
        self.title = artifacts.title
        self.versions = make_versions(folders, self.names, follow_links)
        labels = _labels(self.versions, len(self.names))
        tables = Tables(self.names, self.versions, labels)
        for path in artifacts.tables:
            tables.add(path, required=True)
        for path in artifacts.found_tables:
            tables.add(path, required=False)
        add_predictions_of_manifests(self.versions)
        self._scene = Scene(tuple(self.versions), labels, tables.class_names)

    def scene(self, *chosen: int) -> Scene:  # noqa: ARG002 - there is nothing to choose
        """The only scene."""
        return self._scene


def make_versions(
    folders: Sequence[ImageFolder], names: Sequence[str], follow_links: bool
) -> list[FolderVersion]:
    """The folders as versions of the images of these names."""
    bounds = Bounds([folder.path for folder in folders], follow_links)
    described = zip(folders, titles_of(folders), kinds_of(folders), strict=True)
    versions = [FolderVersion(f, title, kind, names, bounds) for f, title, kind in described]
    for version in versions:
        if version.kind == PURIFIED:
            version.source = version_of(versions, version.record)
    return versions


def _names(folders: Sequence[ImageFolder]) -> list[str]:
    """All names, sorted.

    Raises
    ------
    InputError
        If a folder has no name in common with the others.
    """
    every = [set(folder.images.names()) | set(folder.failed) for folder in folders]
    for place, (folder, names) in enumerate(zip(folders, every, strict=True)):
        others = [other for number, other in enumerate(every) if number != place]
        if others and names and not any(names & other for other in others):
            other = folders[1 if place == 0 else 0]
            example = " and ".join(repr(min(each)) for each in (names, *others[:1]) if each)
            raise InputError(
                f"{folder.path} and {other.path}: have no image names in common; they contain, "
                f"for example, {example}"
            )
    return sorted(set().union(*every))


def _labels(versions: Sequence[FolderVersion], n: int) -> Classes:
    """The labels in the manifests."""
    labels = np.full(n, UNKNOWN, np.int32)
    for version in versions:
        labels = np.where(labels == UNKNOWN, version.classes("label"), labels)
    return labels.astype(np.int32)


def add_predictions_of_manifests(versions: Sequence[FolderVersion]) -> None:
    """Add what the attacked classifier said before and after the attack, where no table does."""
    attacked = [version for version in versions if version.kind == ATTACKED]
    for version in versions:
        if version.predictions is not None:
            continue
        if version.kind == ATTACKED or (version.kind == BENIGN and version.folder.entries):
            _add(version, version.classes("prediction"))
        if version.kind == BENIGN and version.predictions is None and attacked:
            _add(version, attacked[0].classes("prediction_before"))


def _add(version: FolderVersion, classes: Classes) -> None:
    if (classes != UNKNOWN).any():
        unknown = Predictions.unknown(len(classes))
        version.predictions = Predictions(classes, unknown.probability)
