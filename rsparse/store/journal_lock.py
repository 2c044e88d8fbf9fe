"""The lock of a journal, which keeps two runs from writing the same output."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from rsparse.errors import InputError


def open_locked(path: Path, output: Path, flags: int = 0) -> int:
    """A descriptor of the journal that holds its lock.

    Raises
    ------
    InputError
        If another run holds it.
    OSError
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | flags, 0o666)
        try:
            lock(descriptor, output)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the run that held it has finished and removed it


def lock(descriptor: int, output: Path) -> None:
    """Lock an open journal; ``InputError`` if another run holds it, or it is not a file."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise InputError(f"{output}: cannot be written: its journal is not a file")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise InputError(f"{output}: is being written by another run") from error


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
