"""Find the artifacts in a folder, or tell which kind of artifact a file is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rsparse.errors import InputError, reason
from rsparse.store.csv_artifacts import record_beside
from rsparse.store.folders import JOURNAL, MANIFEST
from rsparse.store.hdf5_safety import is_hdf5

CHECKPOINT = ".rsparse-checkpoint.safetensors"
_HDF5 = (".h5", ".hdf5")
_JOURNAL = JOURNAL.removeprefix(".")
_SUFFIXES = (*_HDF5, ".csv", ".onnx", CHECKPOINT, _JOURNAL)


class Kind(Enum):
    """What an artifact consists of."""

    IMAGES = "folder of images"
    HDF5 = "HDF5"
    CSV = "CSV"
    MODEL = "ONNX"
    CHECKPOINT = "checkpoint"
    UNFINISHED = "unfinished run"


@dataclass(frozen=True)
class Artifact:
    """A file or folder that may be an artifact."""

    path: Path
    kind: Kind


def find_artifacts(path: Path) -> list[Artifact]:
    """The artifact at a path, or all that are in a folder, also in its subfolders.

    Files that look like artifacts are included; whether they are shows when they are read.

    Raises
    ------
    InputError
        If there is none.
    """
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from error
    if not exists:
        raise InputError(f"{path}: no such file or folder")
    if is_folder:
        return list(artifacts_in(path))
    if path.name == MANIFEST:
        return [Artifact(path.parent, Kind.IMAGES)]
    found = artifact_of_file(path)
    if found is None and is_hdf5(path):
        found = Artifact(path, Kind.HDF5)
    if found is None:
        raise InputError(f"{path}: is not an rsparse artifact")
    return [found]


def artifacts_in(path: Path) -> Iterator[Artifact]:
    """The artifacts in a folder and its subfolders, as they are found."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read: {reason(error)}") from error

    for folder, subfolders, files in os.walk(path, onerror=refuse):
        subfolders.sort()
        place = Path(folder)
        if MANIFEST in files:
            yield Artifact(place, Kind.IMAGES)
        elif JOURNAL in files:
            yield Artifact(place, Kind.UNFINISHED)
        for name in sorted(files):
            if name.lower().endswith(_SUFFIXES):  # most files are images: this is faster
                found = artifact_of_file(place / name)
                if found is not None:
                    yield found


def artifact_of_file(path: Path) -> Artifact | None:
    """The artifact that a file is by its name, if any."""
    suffix = path.suffix.lower()
    if path.name.endswith(CHECKPOINT):
        return Artifact(path, Kind.CHECKPOINT)
    if path.name.startswith(".") and path.name.endswith(_JOURNAL):
        return None if path.name == JOURNAL else Artifact(path, Kind.UNFINISHED)
    if suffix in _HDF5:
        return Artifact(path, Kind.HDF5)
    if suffix == ".csv" and record_beside(path).exists():
        return Artifact(path, Kind.CSV)
    if suffix == ".onnx":
        return Artifact(path, Kind.MODEL)
    return None
