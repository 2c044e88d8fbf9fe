"""CSV artifacts: a table, and its record in a JSON file beside it.

``pred.csv`` has its record in ``pred.csv.json``, which also holds the digest of the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.store.files import refuse_existing, sha256_of
from rsparse.store.json_files import read_json
from rsparse.store.pending import journal_of, settle
from rsparse.store.records import DETECTIONS, PREDICTIONS, Record, check_record
from rsparse.store.together import Members

CHECKSUM = "sha256"
"""The key of the digest of the table in the record beside it."""

_FORMATS = (PREDICTIONS, DETECTIONS)


def record_beside(path: Path) -> Path:
    """The path of the record of a CSV artifact."""
    return path.with_name(f"{path.name}.json")


def refuse_existing_csv(path: Path, overwrite: bool) -> None:
    """Refuse to write a CSV artifact where it or its record exists; see ``refuse_existing``."""
    refuse_existing(path, overwrite)
    refuse_existing(record_beside(path), overwrite)


def write_csv(members: Members, path: Path, record: Record, lines: Iterable[str]) -> None:
    """Write the lines of a table and its record; they appear together with ``members``."""
    encoded = "".join(lines).encode(errors="backslashreplace")
    described = {**record.as_json(), CHECKSUM: sha256_of(encoded)}
    content = json.dumps(described, indent=1, sort_keys=True, ensure_ascii=False)
    members.write(record_beside(path), content.encode(errors="backslashreplace") + b"\n")
    members.write(path, encoded)


def read_record_beside(path: Path, expected: str | None = None) -> dict[str, Any]:
    """The record of a CSV artifact, of the format ``expected`` or of any.

    Raises
    ------
    InputError
        If it is missing, damaged, of another format, or of a version that is not read.
    """
    settle(journal_of(path))
    place = record_beside(path)
    record = check_record(read_json(place), place, expected)
    if record["format"] not in _FORMATS:
        raise InputError(f"{place}: expected {' or '.join(_FORMATS)}, got {record['format']}")
    return record
