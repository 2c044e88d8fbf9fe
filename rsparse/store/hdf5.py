"""Read and write HDF5 artifacts: the record is in root attributes, numbers are in datasets.

Every file has the root attributes ``format`` and ``format_version``, where h5py users look first,
and ``record``, the whole record as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsparse.errors import InputError, MachineError, is_of_machine
from rsparse.store.files import atomic_path
from rsparse.store.records import Record, check_record

if TYPE_CHECKING:
    import h5py

_KINDS = {
    "b": "truth values",
    "f": "floating-point numbers",
    "i": "whole numbers",
    "u": "whole numbers",
}


@contextmanager
def create_hdf5(path: Path, record: Record) -> Iterator[h5py.File]:
    """Create an HDF5 file to fill with datasets; it appears at ``path`` once it is complete.

    Equal records and datasets, written in the same order, give equal bytes. Create groups with
    ``create_group`` or ``add_dataset``: those that h5py creates implicitly for
    ``file["group/name"]`` store the time.
    """
    import h5py

    with atomic_path(path) as temporary:
        with h5py.File(temporary, "w", libver=("v110", "v110")) as file:
            content = record.as_json()
            file.attrs["format"] = content["format"]
            file.attrs["format_version"] = content["format_version"]
            file.attrs["record"] = json.dumps(content, sort_keys=True)
            yield file


def add_dataset(file: h5py.File, name: str, values: Any) -> None:
    """Store an array; slashes in its name become groups."""
    *groups, last = name.split("/")
    parent: Any = file
    for group in groups:
        parent = parent.require_group(group)
    parent[last] = values


@contextmanager
def open_hdf5(
    path: Path, expected: str | None = None
) -> Iterator[tuple[h5py.File, dict[str, Any]]]:
    """Open an artifact for reading; yield the file and its checked record.

    Raises
    ------
    InputError
        If it is missing, is not HDF5, was not made by rsparse, or has another format or a newer
        version. Damage that shows only while a dataset is read becomes an ``InputError`` too.
    """
    import h5py

    try:
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if path.is_dir():
            raise InputError(f"{path}: is a folder, not an HDF5 file")
        if not path.is_file():  # a pipe would be waited for
            raise InputError(f"{path}: is not an HDF5 file")
        with h5py.File(path, "r") as file:
            yield file, check_record(_record_of(file), path, expected)
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        if is_of_machine(error):
            raise MachineError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
        if not h5py.is_hdf5(path):
            raise InputError(f"{path}: is not an HDF5 file") from error
        detail = " ".join(str(error).split())
        raise InputError(f"{path}: is damaged or incomplete: {detail}") from error


def _record_of(file: h5py.File) -> Any:
    text = file.attrs.get("record")
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def read_array(file: h5py.File, name: str, kinds: str, ndim: int) -> NDArray[Any]:
    """Read a dataset as an array, and check that it is what was expected.

    Parameters
    ----------
    file : h5py.File
    name : str
    kinds : str
        NumPy's letters for the accepted kinds of numbers, such as ``"f"``.
    ndim : int

    Raises
    ------
    ValueError
        If it is missing, stored in another file, incomplete, or contains something else.
        ``open_hdf5`` turns this into an ``InputError``.
    """
    import h5py

    link = file.get(name, getlink=True)
    if link is None:
        raise ValueError(f"the dataset {name} is missing")
    dataset = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise ValueError(f"{name} is not a dataset in this file itself")
    if dataset.dtype.kind not in kinds or dataset.ndim != ndim:
        raise ValueError(
            f"{name}: expected {ndim}-d {' or '.join(_KINDS[kind] for kind in kinds)}, "
            f"got {dataset.ndim}-d {dataset.dtype}"
        )
    if dataset.id.get_storage_size() < dataset.nbytes:
        raise ValueError(f"{name}: some of its numbers are missing")
    return np.asarray(dataset[()])


def read_texts(file: h5py.File, name: str) -> list[str]:
    """Read a dataset of UTF-8 texts.

    Raises
    ------
    ValueError
        If it is missing or contains something else; ``open_hdf5`` turns this into an
        ``InputError``.
    """
    import h5py

    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset) or h5py.check_string_dtype(dataset.dtype) is None:
        raise ValueError(f"the text dataset {name} is missing")
    return [str(text) for text in dataset.asstr()[()]]


def utf8(texts: list[str]) -> Any:
    """Convert texts to an array that h5py stores as variable-length UTF-8."""
    import h5py

    return np.array(texts, dtype=h5py.string_dtype("utf-8"))
