"""``rsparse show``: the record of any artifact."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.evaluation.files import ADAPTIVE_TABLE, EVALUATION_FILE, TABLES
from rsparse.evaluation.results import CLEAN
from rsparse.store.artifacts import Artifact, Kind, artifact_of_file, artifacts_in
from rsparse.store.certificate_table import TABLE_FILE
from rsparse.store.certificates import CERTIFICATES_FILE
from rsparse.store.csv_artifacts import read_record_beside, record_beside
from rsparse.store.files import read_bytes
from rsparse.store.folders import JOURNAL, MANIFEST, read_manifest, record_of
from rsparse.store.hdf5_reading import members, open_hdf5, read_array
from rsparse.store.images import image_name
from rsparse.store.pending import journal_of
from rsparse.store.treatments import treatments_of

ONNX = "onnx"
"""The format of a model that has no record, but tells what rsparse wrote into it."""

_LISTED = 5
_OF_REPORT = ("index.html", "report.md", "junit.xml")
_WHOLE_FILES = (EVALUATION_FILE, CERTIFICATES_FILE)
_OF_TABLE = dict.fromkeys((*TABLES, ADAPTIVE_TABLE), EVALUATION_FILE) | {
    TABLE_FILE: CERTIFICATES_FILE
}
"""The file whose content a table repeats, by the name of the table."""


def read_record(path: Path) -> dict[str, Any]:
    """An artifact's record, with a summary of its content under ``contents``.

    A manifest and a record beside a table stand for their artifact.

    Raises
    ------
    InputError
        If it is missing, not an rsparse artifact, damaged, or of an unsupported version.
    """
    artifact = _artifact_at(path)
    return _READERS[artifact.kind](artifact.path)


def _artifact_at(path: Path) -> Artifact:
    """The artifact that a path names; HDF5 if only its content can tell."""
    if path.name == MANIFEST:
        path = path.absolute().parent
    if path.is_dir():
        for name in _WHOLE_FILES:
            if (path / name).is_file():
                return Artifact(path / name, Kind.HDF5)
        if (path / MANIFEST).exists():
            return Artifact(path, Kind.IMAGES)
        if _is_unfinished(path):
            return Artifact(path, Kind.UNFINISHED)
        raise InputError(_of_folder(path))
    if path.name.lower().endswith(".csv.json"):
        path = path.with_suffix("")
    if path.suffix.lower() == ".csv":
        return Artifact(path, Kind.CSV)
    found = artifact_of_file(path)
    if found is None and path.is_file() and (hint := _of_file(path)) is not None:
        raise InputError(hint)
    return found or Artifact(path, Kind.HDF5)


def _is_unfinished(folder: Path) -> bool:
    """Whether a folder was to become an artifact by a run that was interrupted.

    An evaluation begins with a folder of the selected images.
    """
    places = [folder / JOURNAL, folder / CLEAN / JOURNAL]
    if any(path.exists() for path in (*places, *(journal_of(folder / f) for f in _WHOLE_FILES))):
        return True
    selected = read_manifest(folder / CLEAN)
    return selected is not None and selected["stage"] == "select"


def _of_folder(path: Path) -> str:
    """What is wrong with a folder that is no artifact; it names those in it."""
    inner = [each.path.relative_to(path) for each in islice(artifacts_in(path), _LISTED + 1)]
    if not inner:
        if any((path / name).is_file() for name in _OF_REPORT):
            return f"{path}: is a report, which has no record; show the evaluation that it is of"
        return f"{path}: is not an rsparse artifact: it has no manifest.json"
    more = ", …" if len(inner) > _LISTED else ""
    names = ", ".join(map(str, inner[:_LISTED]))
    return f"{path}: is not an artifact itself, but contains some; name one: {names}{more}"


def _of_file(path: Path) -> str | None:
    """What is wrong with a file that rsparse writes or reads, but that has no record."""
    if path.suffix.lower() == ".toml":
        return (
            f"{path}: has no record; 'rsparse policy show {path}' prints it if it is a policy, "
            f"'rsparse evaluate {path} --dry-run' if it is a plan"
        )
    if image_name(path.name) == path.name:
        return None
    for folder in path.absolute().parents:
        if (folder / MANIFEST).exists():
            return f"{path}: its record is that of its folder: rsparse show {folder}"
    return f"{path}: is a picture, which has no record"


def _read_images(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(f"{folder}: is not an rsparse artifact: it has no manifest.json")
    contents = {"images": f"{len(manifest['images'])}", "failed": f"{len(manifest['failed'])}"}
    treatments = treatments_of(manifest["images"])
    contents |= {done: f"{n}" for done, n in treatments.counts.items()}
    if treatments.counts:
        contents["changed"] = treatments.degrees_text
    return {**record_of(manifest), "contents": contents}


def _read_hdf5(path: Path) -> dict[str, Any]:
    with open_hdf5(path) as (file, record):
        contents: dict[str, str] = {}
        for name, item in members(file):
            contents |= _shape(file, name, item)
    return {**record, "contents": contents}


def _read_table(path: Path) -> dict[str, Any]:
    """The record of a CSV file: beside it, or in the HDF5 file whose content it repeats."""
    contents = {"rows": f"{_rows_of(path)}"}
    if record_beside(path).exists():
        return {**read_record_beside(path), "contents": contents}
    whole = path.parent / _OF_TABLE.get(path.name, "")
    if not whole.is_file():
        raise InputError(
            f"{path}: is not an rsparse artifact: it has no {record_beside(path).name}"
        )
    with open_hdf5(whole) as (_, record):
        return {**record, "contents": contents}


def _rows_of(path: Path) -> int:
    """The number of rows of a CSV file without its header."""
    lines = io.StringIO(read_bytes(path).decode(errors="replace"), newline="")
    return max(sum(1 for _ in csv.reader(lines)) - 1, 0)


def _read_model(path: Path) -> dict[str, Any]:
    from rsparse.models.onnx.file import load_onnx
    from rsparse.models.onnx.provenance import record_in

    file = load_onnx(path)
    contents = {
        "nodes": f"{len(file.model.graph.node)}",
        "weights": f"{len(file.model.graph.initializer)}",
    }
    record = record_in(file.metadata, path) or _written_into(file.metadata, path)
    return {**record, "contents": contents}


def _written_into(metadata: dict[str, str], path: Path) -> dict[str, Any]:
    """What ``model tag`` and ``fetch`` wrote into a model, in the form of a record."""
    from rsparse.models.input_sources import METADATA_KEY
    from rsparse.models.onnx.provenance import ORIGIN_KEY
    from rsparse.models.spec import fields_from_json
    from rsparse.store.json_files import parse_json

    if METADATA_KEY not in metadata:
        raise InputError(
            f"{path}: was not made by rsparse: its metadata have no record; 'rsparse model show "
            f"{path}' prints the input that it expects"
        )
    described = fields_from_json(metadata[METADATA_KEY], f"{path}: metadata {METADATA_KEY}")
    where = f"{path}: metadata {ORIGIN_KEY}"
    origin = parse_json(metadata.get(ORIGIN_KEY, "{}"), where)
    if not isinstance(origin, dict):
        raise InputError(f"{where}: expected a JSON object")
    made = {key: f"{origin.pop(key)}" for key in ("stage", "generator") if key in origin}
    parameters = {"input": described, **origin}
    return {"format": ONNX, "stage": "model tag", **made, "parameters": parameters, "inputs": []}


def _refuse_checkpoint(path: Path) -> dict[str, Any]:
    raise InputError(
        f"{path}: is the checkpoint of a training, which has no record; run the same command again "
        "to continue it"
    )


def _refuse_unfinished(path: Path) -> dict[str, Any]:
    raise InputError(
        f"{path}: is unfinished because its run was interrupted; run the same command again"
    )


_READERS: dict[Kind, Callable[[Path], dict[str, Any]]] = {
    Kind.IMAGES: _read_images,
    Kind.HDF5: _read_hdf5,
    Kind.CSV: _read_table,
    Kind.MODEL: _read_model,
    Kind.CHECKPOINT: _refuse_checkpoint,
    Kind.UNFINISHED: _refuse_unfinished,
}


def _shape(file: Any, name: str, item: Any) -> dict[str, str]:
    """A dataset's shape and type by its name; of a single number, its value."""
    if not hasattr(item, "shape"):
        return {}
    if item.shape == () and item.dtype.kind in "biuf":
        return {name: f"{read_array(file, name, 'biuf', ()):g}"}
    return {name: f"{'×'.join(map(str, item.shape)) or 'scalar'} {item.dtype}"}
