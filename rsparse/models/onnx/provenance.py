"""The record and the checksum in an ONNX file: how it was made, and whether it is whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from rsparse.store.files import sha256_of
from rsparse.store.json_files import parse_json
from rsparse.store.records import MODEL, check_record

RECORD_KEY = "rsparse.record"
"""The metadata key of the record."""

ORIGIN_KEY = "rsparse.origin"
"""The metadata key of where a fetched model comes from."""

CHECKSUM_KEY = "rsparse.sha256"
"""The metadata key of the checksum, the last entry of a file: the digest of all bytes before it."""


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


def file_content(model: onnx.ModelProto, metadata: Mapping[str, str]) -> bytes:
    """The content of a file of a model with these metadata and a checksum.

    Raises
    ------
    ValueError
        If it is too large for a single file.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = {key: value for key, value in metadata.items() if key != CHECKSUM_KEY}
    onnx.helper.set_model_props(copy, kept)
    content = bytes(copy.SerializeToString(deterministic=True))
    return content + _checksum_entry(content)


def checksum_holds(content: bytes, metadata: Mapping[str, str]) -> bool | None:
    """Whether the checksum in a file is that of its content; None if it has none."""
    if CHECKSUM_KEY not in metadata:
        return None
    length = len(_checksum_entry(b""))
    return content[-length:] == _checksum_entry(content[:-length])


def _checksum_entry(content: bytes) -> bytes:
    """The last bytes of a file: protobuf appends them to the entries of its metadata."""
    end = onnx.ModelProto()
    onnx.helper.set_model_props(end, {CHECKSUM_KEY: sha256_of(content)})
    return bytes(end.SerializeToString(deterministic=True))
