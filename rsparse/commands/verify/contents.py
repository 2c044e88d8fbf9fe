"""Read an artifact: its record, the files that it lists, and the images that it was made from."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from rsparse.errors import InputError, is_of_machine, reason, system_error
from rsparse.evaluation.files import EVALUATION_FILE, csv_tables
from rsparse.evaluation.loading import load_evaluation
from rsparse.store.artifacts import Artifact, Kind
from rsparse.store.certificate_table import TABLE_FILE, table_text
from rsparse.store.certificates import load_certificates
from rsparse.store.checksums import without_checksum
from rsparse.store.csv_artifacts import CHECKSUM, read_record_beside
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.files import digest_and_size, is_inner, read_bytes
from rsparse.store.folders import MANIFEST, read_manifest, record_of
from rsparse.store.hdf5_reading import (
    find_dataset,
    members,
    open_hdf5,
    read_texts,
    refuse_oversized,
)
from rsparse.store.images import image_name
from rsparse.store.predictions import load_predictions
from rsparse.store.records import (
    ACTIVATIONS,
    CERTIFICATES,
    DETECTOR,
    DICTIONARY,
    EVALUATION,
    FORMAT_VERSIONS,
    GENERATOR,
    PREDICTIONS,
    SUPPORT,
)
from rsparse.store.reference_scores import load_reference

Digests = dict[str, str]


class NotAnArtifactError(Exception):
    """The file was not made by rsparse."""


@dataclass
class Contents:
    """The content of an artifact.

    Attributes
    ----------
    format : str
    record : mapping or None
    used : list of dict
        The images that it was made from: their digests by name, for each folder of inputs.
    files : dict
        The files that it lists, with their digests. Their paths are texts, which is faster.
    problems : list of str
        What does not hold in the artifact itself.
    """

    format: str
    record: Mapping[str, Any] | None = None
    used: list[Digests] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_contents(artifact: Artifact) -> Contents:
    """Read an artifact; damage becomes a problem.

    Raises
    ------
    NotAnArtifactError
        If rsparse did not make the file.
    """
    try:
        return _READERS[artifact.kind](artifact.path)
    except InputError as error:
        if str(error).endswith("is not an rsparse artifact"):
            raise NotAnArtifactError(str(error)) from error
        return Contents(artifact.kind.value, problems=[str(error)])


def _read_images(folder: Path) -> Contents:
    manifest = read_manifest(folder)
    if manifest is None:
        raise NotAnArtifactError(f"{folder}: is not an rsparse artifact")
    entries = manifest["images"]
    contents = Contents(manifest["format"], record_of(manifest))
    inner = {inner_path(entry["file"], folder): entry["sha256"] for entry in entries}
    contents.files = {os.path.join(folder, file): digest for file, digest in inner.items()}
    for key in ("source_sha256", "mask_sha256"):
        contents.used.append({e["name"]: e[key] for e in entries if key in e})
    versions = max((len(entry.get("versions", ())) for entry in entries), default=0)
    contents.used += [
        {entry["name"]: entry["versions"][number]["sha256"] for entry in entries}
        for number in range(versions)
    ]
    contents.problems += [
        f"{path}: is not in the manifest of its folder"
        for path in _unlisted(folder, contents.files)
    ]
    return contents


def inner_path(file: str, folder: Path) -> str:
    """The path of a file below its folder, as a manifest gives it."""
    if not is_inner(file) or ".." in PurePath(file).parts:
        raise InputError(f"{folder}: its manifest refers to a file outside it: {file!r}")
    return os.path.normpath(file)


def _unlisted(folder: Path, listed: Container[str]) -> Iterator[str]:
    """The images in a folder that are not listed; subfolders with a manifest are left out."""
    for place, subfolders, files in os.walk(folder):
        if place != str(folder) and MANIFEST in files:
            subfolders.clear()
            continue
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(place, name)
            if image_name(name) != name and path not in listed:
                yield path


def _read_hdf5(path: Path) -> Contents:
    with open_hdf5(path) as (file, record):
        contents = Contents(record["format"], record)
        for name, item in members(file):
            if hasattr(item, "shape"):
                refuse_oversized(find_dataset(file, name), file)
        if record["format_version"] == FORMAT_VERSIONS[record["format"]]:
            contents.used = _used_in(file, record["format"])
    if record["format"] == DICTIONARY:
        load_dictionary(path)
    elif record["format"] == PREDICTIONS:
        load_predictions(path)
    elif record["format"] == DETECTOR:
        load_reference(path)
    elif record["format"] == CERTIFICATES:
        contents.problems += _problems_of_certificates(path, record)
    elif record["format"] == EVALUATION and path.name == EVALUATION_FILE:
        contents.problems += _problems_of_tables(path.parent, record)
    return contents


def _used_in(file: Any, format_name: str) -> list[Digests]:
    """The digests of the images used, by name, for each folder of inputs."""
    places = {
        DICTIONARY: ("images/name", ["images/sha256"]),
        PREDICTIONS: ("name", ["sha256"]),
        DETECTOR: ("name", ["sha256"]),
        CERTIFICATES: ("name", ["sha256"]),
        ACTIVATIONS: ("name", ["sha256/benign", "sha256/adversarial"]),
        SUPPORT: ("name", ["sha256/benign"]),
    }
    if format_name not in places:
        return []
    names_in, digests_in = places[format_name]
    names = read_texts(file, names_in)
    return [
        dict(zip(names, read_texts(file, place, len(names)), strict=True)) for place in digests_in
    ]


def _problems_of_tables(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """Which CSV files of an evaluation are not those of its ``evaluation.h5``."""
    evaluation = load_evaluation(folder)
    if record["generator"] != GENERATOR:
        return []  # another release may write other tables
    problems = []
    for name, text in csv_tables(evaluation).items():
        path = folder / name
        if not path.exists():
            problems.append(f"{path}: is missing")
        elif read_bytes(path) != text.encode(errors="backslashreplace"):
            problems.append(f"{path}: is not the table of {EVALUATION_FILE}")
    return problems


def _problems_of_certificates(path: Path, record: Mapping[str, Any]) -> list[str]:
    """Whether the table beside certificates, if it is there, is theirs."""
    found, _ = load_certificates(path)
    table = path.with_name(TABLE_FILE)
    if record["generator"] != GENERATOR or not table.exists():
        return []
    if read_bytes(table) == table_text(found).encode(errors="backslashreplace"):
        return []
    return [f"{table}: is not the table of {path.name}"]


def _read_csv(path: Path) -> Contents:
    record = read_record_beside(path)
    contents = Contents(record["format"], record)
    if isinstance(record.get(CHECKSUM), str):
        contents.files[str(path)] = record[CHECKSUM]
    else:
        contents.problems.append(f"{path}: its record has no checksum of it")
    return contents


def _read_model(path: Path) -> Contents:
    from rsparse.models.input_sources import METADATA_KEY
    from rsparse.models.onnx.file import load_onnx
    from rsparse.models.onnx.provenance import RECORD_KEY, checksum_holds, record_in

    file = load_onnx(path)
    holds = checksum_holds(read_bytes(path), file.metadata)
    if holds is None and not {METADATA_KEY, RECORD_KEY} & set(file.metadata):
        raise NotAnArtifactError(f"{path}: is not an rsparse artifact")
    contents = Contents("rsparse-model", record_in(file.metadata, path))
    if holds is False:
        contents.problems.append(f"{path}: differs from its checksum")
    return contents


def _read_checkpoint(path: Path) -> Contents:
    if without_checksum(read_bytes(path)) is None:
        raise InputError(f"{path}: differs from its checksum")
    return Contents(Kind.CHECKPOINT.value)


def _read_unfinished(path: Path) -> Contents:
    problem = "is unfinished because its run was interrupted; run the same command again"
    return Contents(Kind.UNFINISHED.value, problems=[f"{path}: {problem}"])


_READERS: dict[Kind, Callable[[Path], Contents]] = {
    Kind.IMAGES: _read_images,
    Kind.HDF5: _read_hdf5,
    Kind.CSV: _read_csv,
    Kind.MODEL: _read_model,
    Kind.CHECKPOINT: _read_checkpoint,
    Kind.UNFINISHED: _read_unfinished,
}


def check_file(path: str, expected: str) -> tuple[int, str | None]:
    """The size of a file that an artifact lists, and what is wrong with it, if anything."""
    try:
        digest, size = digest_and_size(path)
    except FileNotFoundError:
        return 0, f"{path}: is missing"
    except OSError as error:
        if is_of_machine(error):
            raise system_error(error, f"{path}: cannot be read") from error
        return 0, f"{path}: cannot be read: {reason(error)}"
    if digest != expected:
        return size, f"{path}: differs from the checksum that is recorded for it"
    return size, None
