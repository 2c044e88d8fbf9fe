"""``manifest.json``: the record of a folder of images, and an entry for each image.

Its last key is ``checksum``, the SHA-256 of everything before that key. A manifest without it is
read as well, since other programs may write one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.store.entries import are_entries, are_failures
from rsparse.store.files import read_bytes, sha256_of
from rsparse.store.journal import Entry
from rsparse.store.json_files import parse_json
from rsparse.store.lines import to_line
from rsparse.store.records import IMAGES, Record, check_record

_CHECKSUM = "checksum"
_MARK = b',\n "checksum": "'


def write_manifest(
    path: Path, record: Record, failed: Iterable[Entry], images: Iterable[bytes]
) -> None:
    """Write a manifest; ``images`` are the entries as JSON, which are taken one at a time."""
    head = json.dumps(record.as_json(), sort_keys=True, indent=1, ensure_ascii=False)
    with path.open("wb") as file:
        digest = hashlib.sha256()

        def write(content: bytes) -> None:
            file.write(content)
            digest.update(content)

        write(head[:-2].encode(errors="backslashreplace"))
        _write_array(write, "failed", (to_line(_without_path(entry))[:-1] for entry in failed))
        _write_array(write, "images", images)
        file.write(_end_with(digest.hexdigest()))


def _end_with(checksum: str) -> bytes:
    """The end of a manifest, which the checksum does not cover."""
    return _MARK + f'{checksum}"\n}}\n'.encode()


def _without_path(entry: Entry) -> Entry:
    """A failed image as the manifest lists it: without the path, which is not recorded."""
    return {"name": entry["name"], "error": entry["error"].removeprefix(f"{entry.get('path')}: ")}


def _write_array(write: Any, key: str, texts: Iterable[bytes]) -> None:
    write(f',\n "{key}": '.encode())
    separator = b"[\n  "
    for text in texts:
        write(separator + text)
        separator = b",\n  "
    write(b"[]" if separator.startswith(b"[") else b"\n ]")


def load_manifest(path: Path, *, any_age: bool) -> dict[str, Any] | None:
    """The content of a manifest without its checksum; None if another program wrote the file.

    Raises
    ------
    InputError
        If it is damaged, differs from its checksum, or its version is not supported.
    """
    content = read_bytes(path)
    manifest = parse_json(content, str(path))
    if not isinstance(manifest, dict) or "format" not in manifest:
        return None
    checksum = manifest.pop(_CHECKSUM, None)
    if checksum is not None:
        covered = content[: content.rfind(_MARK)]
        if content != covered + _end_with(sha256_of(covered)):
            raise InputError(f"{path}: is damaged: it differs from its checksum")
    check_record(manifest, path, IMAGES, any_age=any_age)
    listed = are_entries(manifest.get("images"))
    if not listed or not are_failures(manifest.get("failed")):
        raise InputError(f"{path}: is damaged or incomplete: images are not listed as expected")
    return manifest
