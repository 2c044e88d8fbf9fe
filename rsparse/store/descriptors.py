"""Locks and places of open files, on every operating system.

The lock belongs to the open file and ends with its process, however that ends: ``flock`` on Linux
and macOS, also on NFS with a lock daemon, and ``LockFileEx`` on Windows.
"""

from __future__ import annotations

import os
from pathlib import Path

SAFE = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
"""Flags for a file that may have been replaced: no link is followed, no pipe is waited for."""

BINARY = getattr(os, "O_BINARY", 0)
"""The flag without which Windows changes the ends of lines."""


def try_lock(descriptor: int) -> bool | None:
    """Whether the lock was free and is now held; None if this file system has no locks."""
    from filelock import lock_descriptor

    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError:
        return None


def is_at(descriptor: int, path: Path) -> bool:
    """Whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def read_at(descriptor: int, size: int, place: int) -> bytes:
    """Read bytes from a place in a file."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, place)
    os.lseek(descriptor, place, os.SEEK_SET)
    return os.read(descriptor, size)


def write_at(descriptor: int, content: memoryview, place: int) -> int:
    """Write bytes at a place in a file; the number of bytes written."""
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, content, place)
    os.lseek(descriptor, place, os.SEEK_SET)
    return os.write(descriptor, content)
