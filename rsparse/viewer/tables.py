"""Predictions and detections that belong to the folders shown, by what their records name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.errors import InputError
from rsparse.store.csv_artifacts import read_record_beside, record_beside
from rsparse.store.detections import load_detected_names
from rsparse.store.prediction_tables import PredictionTable, load_prediction_table
from rsparse.store.records import DETECTIONS
from rsparse.viewer.folders import FolderVersion
from rsparse.viewer.versions import UNKNOWN, Classes, Predictions


class Tables:
    """Adds what tables say to the versions of their images.

    Parameters
    ----------
    names : sequence of str
        The names of the images.
    versions : sequence of FolderVersion
    labels : int32 array of shape (n,)
        Labels that are not known yet are filled in.

    Attributes
    ----------
    class_names : dict of int to str
    """

    def __init__(
        self, names: Sequence[str], versions: Sequence[FolderVersion], labels: Classes
    ) -> None:
        self._names, self._versions, self._labels = names, versions, labels
        self.class_names: dict[int, str] = {}

    def add(self, path: Path, *, required: bool) -> None:
        """Add a table to the version that its record names.

        If it is of none, it is refused if it is ``required``, and ignored otherwise.

        Raises
        ------
        InputError
            If it cannot be used.
        """
        is_csv = path.suffix.lower() == ".csv"
        if is_csv and not record_beside(path).exists():
            raise InputError(
                f"{path}: has no {record_beside(path).name} beside it, so it is unknown which "
                "images it is of; rsparse classify and rsparse detect write both"
            )
        if is_csv and read_record_beside(path)["format"] == DETECTIONS:
            detected, record = load_detected_names(path)
            version = self._version_of(path, record, required)
            if version is not None:
                flags = [detected.get(name, False) for name in self._names]
                version.rejected = np.array(flags, bool)
            return
        table = load_prediction_table(path)
        version = self._version_of(path, table.record, required)
        if version is not None:
            self._add_predictions(version, table)

    def _add_predictions(self, version: FolderVersion, table: PredictionTable) -> None:
        predictions = Predictions.unknown(len(self._names))
        for number, name in enumerate(self._names):
            row = table.rows.get(name)
            if row is not None:
                predictions.classes[number] = row.prediction
                predictions.probability[number] = row.probability
                if row.label is not None and self._labels[number] == UNKNOWN:
                    self._labels[number] = row.label
        version.predictions = predictions
        self.class_names.update(table.class_names)

    def _version_of(
        self, path: Path, record: Mapping[str, Any], required: bool
    ) -> FolderVersion | None:
        found = version_of(self._versions, record)
        if found is not None:
            return found
        if not required:
            return None
        shown = ", ".join(str(version.folder.path) for version in self._versions) or "no folder"
        sources = ", ".join(source["name"] for source in record["inputs"])
        if _named(self._versions, record):
            raise InputError(f"{path}: is of images in {sources}; {shown} both could be")
        raise InputError(
            f"{path}: is of images in {sources}, but {shown} is shown; give that folder"
        )


def version_of(
    versions: Sequence[FolderVersion], record: Mapping[str, Any] | None
) -> FolderVersion | None:
    """The version whose folder a record names; of several, the one with the same images."""
    named = _named(versions, record)
    same = [version for version, digest in named if version.digest() == digest]
    for found in (same, [version for version, _ in named]):
        if len(found) == 1:
            return found[0]
    return None


def _named(
    versions: Sequence[FolderVersion], record: Mapping[str, Any] | None
) -> list[tuple[FolderVersion, str]]:
    """The versions whose folders have the name of an input, and the digest of that input."""
    sources = {source["name"]: source["sha256"] for source in (record or {}).get("inputs", ())}
    names = ((version, version.folder.path.resolve().name) for version in versions)
    return [(version, sources[name]) for version, name in names if name in sources]
