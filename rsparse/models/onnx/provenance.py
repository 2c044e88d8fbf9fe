"""Read the record inside an ONNX file, which tells how the model was made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsparse.store.json_files import parse_json
from rsparse.store.records import MODEL, check_record

RECORD_KEY = "rsparse.record"
"""The metadata key of the record."""


def record_in(metadata: Mapping[str, str], path: Path) -> dict[str, Any] | None:
    """The record of a model; ``None`` if rsparse did not make the model.

    Raises
    ------
    InputError
        If the metadata that hold it are damaged.
    """
    if RECORD_KEY not in metadata:
        return None
    record = parse_json(metadata[RECORD_KEY], f"{path}: metadata {RECORD_KEY}")
    return check_record(record, path, MODEL)
