"""Write HDF5 artifacts: the record is in root attributes, numbers and texts are in datasets.

Every file has the root attributes ``format`` and ``format_version``, where h5py users look first,
and ``record``, the whole record as JSON text. Its last line is the checksum of the file
(``rsparse.store.checksums``). Texts have a fixed length: texts of variable length lie in a heap of
the file, and damage there can make the library read for ever. ``rsparse.store.hdf5_reading`` reads
the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsparse.store.checksums import append_checksum
from rsparse.store.files import FileCreator, atomic_path
from rsparse.store.forgiving_file import ForgivingFile
from rsparse.store.records import Record

if TYPE_CHECKING:
    import h5py


@contextmanager
def create_hdf5(
    path: Path, record: Record, create: FileCreator = atomic_path
) -> Iterator[h5py.File]:
    """Create an HDF5 file to fill with datasets; it appears at ``path`` once it is complete.

    With ``create``, a method of ``Members``, it appears together with others.

    Equal records and datasets, written in the same order, give equal bytes. Create groups with
    ``create_group`` or ``add_dataset``: those that h5py creates implicitly for
    ``file["group/name"]`` store the time. Groups of at most eight members are opened fastest
    (``rsparse.store.hdf5_reading``).
    """
    import h5py

    with create(path) as temporary, ForgivingFile.opened(temporary) as target:
        with h5py.File(target, "w", libver=("v110", "v110")) as file:
            content = record.as_json()
            file.attrs["format"] = utf8(content["format"])
            file.attrs["format_version"] = content["format_version"]
            file.attrs["record"] = utf8(json.dumps(content, sort_keys=True))
            yield file
        append_checksum(temporary)


def add_dataset(file: h5py.File, name: str, values: Any) -> None:
    """Store an array; slashes in its name become groups."""
    *groups, last = name.split("/")
    parent: Any = file
    for group in groups:
        parent = parent.require_group(group)
    parent[last] = values


def utf8(texts: str | Sequence[str]) -> Any:
    """Convert a text or a list of texts to an array that h5py stores as fixed-length UTF-8."""
    import h5py

    rows = [texts] if isinstance(texts, str) else texts
    encoded = [text.encode(errors="backslashreplace") for text in rows]
    kind = h5py.string_dtype("utf-8", max(map(len, encoded), default=0) or 1)
    array = np.array(encoded, dtype=kind)
    return array.reshape(()) if isinstance(texts, str) else array
