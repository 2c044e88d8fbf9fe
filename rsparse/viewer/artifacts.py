"""Sort what is to be shown into folders of images, evaluations and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rsparse.errors import InputError, system_error
from rsparse.evaluation.files import EVALUATION_FILE
from rsparse.store.certificates import is_certificates
from rsparse.store.csv_artifacts import record_beside
from rsparse.store.folders import MANIFEST, read_manifest
from rsparse.store.hdf5_reading import open_hdf5
from rsparse.store.records import PREDICTIONS

TABLE_SUFFIXES = (".csv", ".h5")


@dataclass
class Artifacts:
    """What is to be shown.

    Attributes
    ----------
    title : str
        The names of what was given, without tables.
    images : list of Path
        Folders of images, and single images.
    evaluations : list of Path
    tables : list of Path
        Predictions and detections that were given.
    found_tables : list of Path
        Tables that lie beside folders; those of other images are ignored.
    """

    title: str = ""
    images: list[Path] = field(default_factory=list)
    evaluations: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    found_tables: list[Path] = field(default_factory=list)


def sort_artifacts(paths: Sequence[Path]) -> Artifacts:
    """Sort artifacts by what they are.

    A folder without a manifest that contains artifacts, such as that of the demo, stands for
    them and for the tables in it.

    Raises
    ------
    InputError
        If one is missing or cannot be read, or two evaluations are given.
    """
    found = Artifacts()
    for path in paths:
        try:
            _add(path, found)
        except OSError as error:
            raise system_error(error, f"{path}: cannot be read") from error
    if len(found.evaluations) > 1:
        one, other, *_ = found.evaluations
        raise InputError(f"{other}: is an evaluation, as {one} is; give one of them")
    if not found.images and not found.evaluations:
        raise _of_table(paths[0])
    given = [path for path in paths if path not in found.tables]
    found.title = ", ".join(path.resolve().name for path in given)
    return found


def _of_table(path: Path) -> InputError:
    """The error for a table without images, or for an HDF5 file that is no table of images."""
    if path.suffix.lower() == ".h5":
        with open_hdf5(path) as (_, record):
            kind = record["format"]
        if kind != PREDICTIONS:
            return InputError(f"{path}: has the format {kind}, without images to show")
    return InputError(f"{path}: is a table; give the folder of its images too")


def _add(path: Path, found: Artifacts) -> None:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.name in (MANIFEST, EVALUATION_FILE):
        path = path.absolute().parent
    if path.is_dir() and is_certificates(path):
        raise InputError(f"{path}: holds certificates, without images to show; open its chart")
    if not path.is_dir():
        (found.tables if path.suffix.lower() in TABLE_SUFFIXES else found.images).append(path)
    elif (path / EVALUATION_FILE).is_file():
        found.evaluations.append(path)
    elif (path / MANIFEST).is_file() or not (within := _artifacts_in(path)):
        found.images.append(path)
    else:
        for folder in (*within, *_sources_in(path, within)):
            _add(folder, found)
        found.found_tables += [
            table
            for table in _own(path)
            if table.suffix.lower() == ".csv" and record_beside(table).is_file()
        ]


def _own(folder: Path) -> list[Path]:
    """What lies in a folder itself: no links, which may lead out of it, and nothing hidden."""
    return [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and not path.is_symlink()
    ]


def _artifacts_in(folder: Path) -> list[Path]:
    """The artifacts directly in a folder."""
    marks = (MANIFEST, EVALUATION_FILE)
    return [path for path in _own(folder) if any((path / mark).is_file() for mark in marks)]


def _sources_in(folder: Path, artifacts: Sequence[Path]) -> list[Path]:
    """The folders without a manifest that artifacts beside them were made from."""
    named = set[str]()
    for path in artifacts:
        manifest = read_manifest(path)
        named |= {source["name"] for source in (manifest or {}).get("inputs", ())}
    beside = (path for path in _own(folder) if path not in artifacts)
    return [path for path in beside if path.name in named and path.is_dir()]
