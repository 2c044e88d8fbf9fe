"""The lock of a journal, which keeps two runs from writing the same output."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsparse.errors import InputError, system_error
from rsparse.store.descriptors import SAFE, is_at, try_lock


def open_locked(path: Path, output: Path, flags: int = 0) -> int:
    """A descriptor of the journal that holds its lock.

    Raises
    ------
    InputError
        If another run holds it.
    OSError
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | SAFE | flags, 0o666)
        try:
            lock(descriptor, output)
            if is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the run that held it has finished and removed it


@contextmanager
def locked(path: Path, output: Path) -> Iterator[None]:
    """Hold the lock of a journal during the block, if there is one.

    Raises
    ------
    InputError
        If another run is writing the journal now.
    """
    try:
        descriptor = open_locked(path, output)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise system_error(error, f"{output}: cannot be written") from error
    try:
        yield
    finally:
        os.close(descriptor)


def refuse_running(path: Path, output: Path) -> None:
    """Raise ``InputError`` if another run is writing the journal now."""
    with locked(path, output):
        pass


def lock(descriptor: int, output: Path) -> None:
    """Lock an open journal; ``InputError`` if that is not possible, or it is not a file."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise InputError(f"{output}: cannot be written: its journal is not a file")
    is_free = try_lock(descriptor)
    if is_free is None:
        raise InputError(f"{output}: cannot be written: this file system cannot lock files")
    if not is_free:
        raise InputError(f"{output}: is being written by another run")
