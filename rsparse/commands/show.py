"""``rsparse show``: the record of any artifact."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.evaluation.files import ADAPTIVE_TABLE, EVALUATION_FILE, TABLES
from rsparse.store.certificate_table import TABLE_FILE
from rsparse.store.certificates import CERTIFICATES_FILE
from rsparse.store.csv_artifacts import read_record_beside, record_beside
from rsparse.store.files import read_bytes
from rsparse.store.folders import MANIFEST, read_manifest, record_of
from rsparse.store.hdf5_reading import members, open_hdf5, read_array
from rsparse.store.treatments import treatments_of


def read_record(artifact: Path) -> dict[str, Any]:
    """An artifact's record, with a summary of its content under ``contents``.

    Raises
    ------
    InputError
        If it is missing, not an rsparse artifact, damaged, or of an unsupported version.
    """
    if artifact.name == MANIFEST:
        artifact = artifact.absolute().parent
    for name in (EVALUATION_FILE, CERTIFICATES_FILE):
        if (artifact / name).is_file():
            artifact = artifact / name
    if artifact.suffix.lower() == ".onnx":
        return _record_of_model(artifact)
    if artifact.suffix.lower() == ".csv":
        return _record_of_table(artifact)
    if not artifact.is_dir():
        with open_hdf5(artifact) as (file, record):
            contents: dict[str, str] = {}
            for name, item in members(file):
                contents |= _shape(file, name, item)
        return {**record, "contents": contents}
    manifest = read_manifest(artifact)
    if manifest is None:
        raise InputError(f"{artifact}: is not an rsparse artifact: it has no manifest.json")
    contents = {"images": f"{len(manifest['images'])}", "failed": f"{len(manifest['failed'])}"}
    treatments = treatments_of(manifest["images"])
    contents |= {done: f"{n}" for done, n in treatments.counts.items()}
    if treatments.counts:
        contents["changed"] = treatments.degrees_text
    return {**record_of(manifest), "contents": contents}


def _record_of_table(path: Path) -> dict[str, Any]:
    """The record of a CSV file: beside it, or in the HDF5 file whose content it repeats."""
    contents = {"rows": f"{_rows_of(path)}"}
    if record_beside(path).exists():
        return {**read_record_beside(path), "contents": contents}
    names = dict.fromkeys((*TABLES, ADAPTIVE_TABLE), EVALUATION_FILE) | {
        TABLE_FILE: CERTIFICATES_FILE
    }
    if path.name not in names or not (whole := path.with_name(names[path.name])).is_file():
        raise InputError(
            f"{path}: is not an rsparse artifact: it has no {record_beside(path).name}"
        )
    with open_hdf5(whole) as (_, record):
        return {**record, "contents": contents}


def _rows_of(path: Path) -> int:
    """The number of rows of a CSV file without its header."""
    lines = io.StringIO(read_bytes(path).decode(errors="replace"), newline="")
    return max(sum(1 for _ in csv.reader(lines)) - 1, 0)


def _record_of_model(path: Path) -> dict[str, Any]:
    from rsparse.models.onnx.file import load_onnx
    from rsparse.models.onnx.provenance import record_in

    file = load_onnx(path)
    record = record_in(file.metadata, path)
    if record is None:
        raise InputError(f"{path}: was not made by rsparse train: its metadata have no record")
    contents = {
        "nodes": f"{len(file.model.graph.node)}",
        "weights": f"{len(file.model.graph.initializer)}",
    }
    return {**record, "contents": contents}


def _shape(file: Any, name: str, item: Any) -> dict[str, str]:
    """A dataset's shape and type by its name; of a single number, its value."""
    if not hasattr(item, "shape"):
        return {}
    if item.shape == () and item.dtype.kind in "biuf":
        return {name: f"{read_array(file, name, 'biuf', ()):g}"}
    return {name: f"{'×'.join(map(str, item.shape)) or 'scalar'} {item.dtype}"}
