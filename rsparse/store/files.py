"""Read files, and write them atomically: whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from rsparse.errors import InputError, system_error, write_error
from rsparse.store.journal_lock import refuse_running
from rsparse.store.pending import journal_of, remove_leftovers, settle
from rsparse.store.syncing import sync_folder
from rsparse.store.temporaries import Temporary, temporary_beside

_BLOCK = 1 << 18  # bytes, which stay in a core's cache until they are hashed
_buffer = threading.local()

FileCreator = Callable[[Path], AbstractContextManager[Path]]
"""Makes the temporary file that takes a path's place: ``atomic_path``, or with other files."""


def sha256_of(content: bytes) -> str:
    """The hex SHA-256 of ``content``."""
    import hashlib

    return hashlib.sha256(content).hexdigest()


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises
    ------
    InputError
        If it is missing, is a folder, or may not be read.
    MachineError
        If the disk or a limit of the system is the reason.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise system_error(error, f"{path}: cannot be read") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    InputError
        If it cannot be read, or is not TOML in UTF-8.
    """
    import tomllib

    try:
        return tomllib.loads(read_bytes(path).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text") from error
    except ValueError as error:  # also a number of thousands of digits
        detail = str(error).partition(";")[0]
        raise InputError(f"{path}: is not valid TOML: {detail}") from error
    except RecursionError as error:
        raise InputError(f"{path}: is not valid TOML: it is nested too deeply") from error


def sha256_of_file(path: Path) -> str:
    """The hex SHA-256 of a file, read in blocks."""
    try:
        return digest_and_size(path)[0]
    except OSError as error:
        raise system_error(error, f"{path}: cannot be read") from error


def digest_and_size(path: str | Path) -> tuple[str, int]:
    """The hex SHA-256 of a file and its bytes, read in blocks; an ``OSError`` is not translated.

    For small files, a buffered file and a new buffer would cost half as much as the hashing.
    """
    import hashlib

    digest, size = hashlib.sha256(), 0
    block = _own_block()
    with io.FileIO(path) as file:
        while n := file.readinto(block):
            digest.update(block[:n])
            size += n
    return digest.hexdigest(), size


def _own_block() -> memoryview:
    """The memory into which this thread reads."""
    if not hasattr(_buffer, "block"):
        _buffer.block = memoryview(bytearray(_BLOCK))
    block: memoryview = _buffer.block
    return block


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary file beside ``path`` that replaces it if the block succeeds.

    Parent folders are created. With ``durable``, the file and its name are forced to disk; one-file
    artifacts need this, while a folder of images does it for all of them at its end. If the block
    fails, the temporary file is removed and ``path`` stays as it was.

    Raises
    ------
    MachineError
        If ``path`` cannot be written; an ``InputError`` if its name is the reason.
    """
    try:
        with temporary_beside(path) as temporary:
            yield temporary.path
            _take_place(temporary, path, durable)
    except OSError as error:
        raise write_error(error, f"{path}: cannot be written") from error


def write_atomic(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write ``content`` to ``path``, whole or not at all (see ``atomic_path``)."""
    try:
        with temporary_beside(path) as temporary:
            temporary.write(content)
            _take_place(temporary, path, durable)
    except OSError as error:
        raise write_error(error, f"{path}: cannot be written") from error


def _take_place(temporary: Temporary, path: Path, durable: bool) -> None:
    if durable:
        os.fsync(temporary.descriptor)
    os.replace(temporary.path, path)
    if durable:
        sync_folder(path.parent)


def require_suffix(path: Path, *suffixes: str) -> None:
    """Check that the name of an output file ends in one of the suffixes.

    Raises
    ------
    InputError
    """
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{path}: expected a file ending in {' or '.join(suffixes)}")


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Check that one output file may be written before any work is done.

    What a killed run left is dealt with first: its artifact is finished if only renames were
    missing, and its temporary files are removed.

    Raises
    ------
    InputError
        If it exists and ``overwrite`` is false, if it is a folder, if its folder cannot be
        written, or if another run is writing it now.
    MachineError
        If its file system is read-only.
    """
    settle(journal_of(path))
    remove_leftovers(path.parent)
    refuse_taken(path, overwrite)
    try:
        parent = next(folder for folder in path.absolute().parents if folder.exists())
        if not parent.is_dir():
            raise InputError(f"{path}: cannot be written: {parent.name} is not a folder")
        if not os.access(parent, os.W_OK | os.X_OK):
            _refuse_read_only(parent)
            raise InputError(f"{path}: cannot be written: no permission in {parent.name or parent}")
    except OSError as error:
        raise system_error(error, f"{path}: cannot be written") from error
    refuse_running(journal_of(path), path)


def _refuse_read_only(folder: Path) -> None:
    """Raise the ``OSError`` of a file system that is read-only, which ``os.access`` does not."""
    if hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def refuse_taken(path: Path, overwrite: bool) -> None:
    """Check that nothing is where one output file is to be written, or a file to be replaced.

    Raises
    ------
    InputError
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file")
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a regular file; name another file")
        if path.exists() and not overwrite:
            raise InputError(f"{path}: exists; choose another output or pass --overwrite")
    except OSError as error:
        raise system_error(error, f"{path}: cannot be written") from error


def holds_files(folder: Path, besides: str = "") -> bool:
    """Whether a folder or one of its subfolders contains a file of another name than ``besides``.

    A killed run may leave empty subfolders.
    """
    return any(set(files) - {besides} for _, _, files in os.walk(folder, onerror=_raise))


def _raise(error: OSError) -> None:
    raise error


def remove_empty(folder: Path) -> None:
    """Remove a folder if it is empty, after those below it that are."""
    for parent, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(parent)
        except OSError:
            pass  # not empty


def is_inner(relative: str, kind: type[PurePath] = PurePath) -> bool:
    """Whether a path from a file is relative and on no other disk, as paths of ``kind`` are read.

    On Windows, ``C:x`` is on another disk, ``a:b`` is a hidden part of ``a``, and a backslash first
    leads to the top of the disk.
    """
    path = kind(relative)
    hidden = ":" in relative and isinstance(path, PureWindowsPath)
    return bool(relative) and "\0" not in relative and not (path.drive or path.root or hidden)


def safe_join(folder: Path, relative: str) -> Path:
    """Return ``folder/relative`` for a path that was read from a file, so is not trusted.

    Raises
    ------
    InputError
        If the path is absolute or leads out of the folder.
    """
    joined = folder / relative
    inside = is_inner(relative) and joined.resolve().is_relative_to(folder.resolve())
    if not inside:
        raise InputError(f"{folder}: refers to a file outside itself: {relative!r}")
    return joined
