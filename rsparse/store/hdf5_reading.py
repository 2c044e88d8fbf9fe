"""Read HDF5 artifacts, which may be damaged or made to do harm.

Nothing outside a file is read: no link, external storage or virtual dataset is followed at any
level of a path. Shapes and types are checked, and compared with the size of the file, before memory
is taken. ``rsparse.store.hdf5_safety`` decides whether a file is opened at all.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsparse.errors import InputError, MachineError, is_of_machine
from rsparse.store.hdf5_safety import refuse_unsafe
from rsparse.store.pending import journal_of, settle
from rsparse.store.records import DICTIONARY, check_record

if TYPE_CHECKING:
    import h5py

_KINDS = {
    "b": "truth values",
    "f": "floating-point numbers",
    "i": "whole numbers",
    "u": "whole numbers",
    "S": "texts",
}
_ALWAYS_ALLOWED = 64 << 20  # bytes that a compressed dataset may have, however small its file is
_MAX_EXPANSION = 20  # times the size of the file


@contextmanager
def open_hdf5(
    path: Path, expected: str | None = None
) -> Iterator[tuple[h5py.File, dict[str, Any]]]:
    """Open an artifact for reading; yield the file and its checked record.

    Raises
    ------
    InputError
        If it is missing, is not HDF5, was not made by rsparse, is damaged, or has another format or
        a newer version. Damage that shows only while a dataset is read becomes an ``InputError``
        too.
    """
    import h5py

    settle(journal_of(path))
    has_checksum = refuse_unsafe(path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            record = check_record(_record_of(file), path, expected)
            if not has_checksum and record["format"] != DICTIONARY:  # others may make those
                raise InputError(f"{path}: has no checksum, so it was changed; make it again")
            yield file, record
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, RecursionError) as error:
        if is_of_machine(error) or is_of_machine(_system_error_in(error)):
            raise MachineError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
        raise InputError(f"{path}: is damaged or incomplete{_detail(error)}") from error


def _detail(error: Exception) -> str:
    """What is wrong, if this module found it: the words of libhdf5 help nobody to mend a file."""
    if isinstance(error, ValueError):
        return f": {' '.join(str(error).split())}"
    return "; make it again"


def _system_error_in(error: BaseException) -> OSError:
    """The error of the operating system that libhdf5's message is about, if any."""
    found = re.search(r"errno = (\d+)", str(error))
    return OSError(int(found[1]), "") if found else OSError()


def _record_of(file: h5py.File) -> Any:
    try:
        return json.loads(read_text_attribute(file, "record"))
    except (ValueError, RecursionError):
        return None


def read_array(file: h5py.File, name: str, kinds: str, shape: tuple[int | None, ...]) -> Any:
    """Read a dataset as an array, and check that it is what was expected.

    Parameters
    ----------
    file : h5py.File
    name : str
    kinds : str
        NumPy's letters for the accepted kinds of numbers, such as ``"f"``.
    shape : tuple
        The expected shape; None stands for any length.

    Raises
    ------
    ValueError
        If it is missing, stored in another file, incomplete, or contains something else.
        ``open_hdf5`` turns this into an ``InputError``.
    """
    dataset = find_dataset(file, name)
    ndim = len(shape)
    known = dataset.dtype.kind in kinds and dataset.dtype.itemsize <= _widest(dataset.dtype.kind)
    if not known or dataset.ndim != ndim:
        raise ValueError(
            f"{name}: expected {ndim}-d {' or '.join(_KINDS[kind] for kind in kinds)}, "
            f"got {dataset.ndim}-d {dataset.dtype}"
        )
    if any(want not in (None, got) for want, got in zip(shape, dataset.shape, strict=True)):
        wanted = "×".join("n" if side is None else str(side) for side in shape)
        raise ValueError(f"{name}: expected the shape {wanted}, got {_text_of(dataset.shape)}")
    refuse_oversized(dataset, file)
    return np.asarray(dataset[()])


def _widest(kind: str) -> float:
    return math.inf if kind == "S" else 8


def _text_of(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"


def read_texts(file: h5py.File, name: str, n: int | None = None) -> list[str]:
    """Read a dataset of ``n`` UTF-8 texts of fixed length.

    Raises
    ------
    ValueError
        If it is missing or contains something else; ``open_hdf5`` turns this into an
        ``InputError``.
    """
    return [text.decode() for text in read_array(file, name, "S", (n,)).tolist()]


def read_attribute(owner: Any, name: str, kinds: str) -> Any:
    """A number or truth value in an attribute; ``ValueError`` if it is missing or something else.

    Parameters
    ----------
    owner : h5py.Group or h5py.Dataset
    name : str
    kinds : str
        NumPy's letters for the accepted kinds, such as ``"iu"``.
    """
    where = owner.name[1:]
    if name not in owner.attrs:
        of = f" of {where}" if where else ""
        raise ValueError(f"the attribute {name}{of} is missing")
    kept = owner.attrs.get_id(name)
    if kept.shape != () or kept.dtype.kind not in kinds:
        is_short = kept.dtype.kind in _KINDS and math.prod(kept.shape or ()) < 100
        value = owner.attrs[name] if is_short or kept.shape == () else kept.dtype
        before = f"{where}: its" if where else "the"
        raise ValueError(f"{before} attribute {name} is invalid: {value}")
    return owner.attrs[name].item()


def read_text_attribute(owner: Any, name: str) -> str:
    """A UTF-8 text in an attribute; ``ValueError`` if it is missing or something else."""
    import h5py

    if name not in owner.attrs:
        raise ValueError(f"the attribute {name} is missing")
    kept = owner.attrs.get_id(name)
    if kept.shape != () or h5py.check_string_dtype(kept.dtype) is None:
        raise ValueError(f"the attribute {name} is not a text")
    value = owner.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def find_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset that is stored in the file itself; ``ValueError`` if there is none."""
    import h5py

    found = _find(file, name)
    if found is None:
        raise ValueError(f"the dataset {name} is missing")
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise ValueError(f"{name} is not a dataset in this file itself")
    return found


def is_present(file: h5py.File, name: str) -> bool:
    """Whether the file itself has a group or dataset at this path; ``ValueError`` for a link."""
    return _find(file, name) is not None


def _find(file: h5py.File, name: str) -> Any:
    """The object at a path of hard links, or None if there is no such link."""
    import h5py

    place: Any = file
    for part in name.split("/"):
        link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{name} is not a dataset in this file itself")
        place = place[part]
    return place


def refuse_oversized(dataset: h5py.Dataset, file: h5py.File) -> None:
    """Check that a file can hold what a dataset claims to contain, before memory is taken.

    Raises
    ------
    ValueError
    """
    name, size = dataset.name[1:], file.id.get_filesize()
    if dataset.chunks is None:
        if dataset.id.get_storage_size() < dataset.nbytes or dataset.nbytes > size:
            raise ValueError(f"{name}: some of its values are missing")
        return
    counts = zip(dataset.shape, dataset.chunks, strict=True)
    claimed = math.prod(-(-side // chunk) for side, chunk in counts)
    if dataset.nbytes > max(_ALWAYS_ALLOWED, _MAX_EXPANSION * size):
        raise ValueError(f"{name}: claims {dataset.nbytes} bytes, which its file cannot hold")
    if dataset.id.get_num_chunks() < claimed:
        raise ValueError(f"{name}: some of its values are missing")


def members(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """The groups and datasets of the file itself by path, each once."""
    import h5py

    seen = {h5py.h5o.get_info(file.id).addr}
    pending = [("", file)]
    while pending:
        prefix, group = pending.pop()
        found = []
        for key in group:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                continue
            item = group[key]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            yield prefix + key, item
            if isinstance(item, h5py.Group):
                found.append((f"{prefix}{key}/", item))
        pending += reversed(found)
