"""The lock of a journal, which keeps two runs from writing the same output."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rsparse.errors import InputError
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


def lock(descriptor: int, output: Path) -> None:
    """Lock an open journal; ``InputError`` if that is not possible, or it is not a file."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise InputError(f"{output}: cannot be written: its journal is not a file")
    is_free = try_lock(descriptor)
    if is_free is None:
        raise InputError(f"{output}: cannot be written: this file system cannot lock files")
    if not is_free:
        raise InputError(f"{output}: is being written by another run")
