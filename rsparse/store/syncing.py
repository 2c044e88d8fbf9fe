"""Force files and folders to the disk, so that a power cut loses nothing that is finished."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

_THREADS = 8  # the disk combines what several threads wait for
_AT_A_TIME = 4096
_FOLDER = getattr(os, "O_DIRECTORY", None)  # Windows opens no folders
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF)


def sync_file(path: Path) -> None:
    """Force the content of a file to the disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Force the names in a folder to the disk; some file systems cannot."""
    if _FOLDER is None:
        return
    try:
        _sync(path, os.O_RDONLY | _FOLDER)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def sync_tree(root: Path, files: Iterable[Path]) -> None:
    """Force files in ``root``, and all folders from ``root``'s parent to them, to the disk."""
    if not _sync_file_system(root):
        _sync_each(root, files)


def _sync_file_system(folder: Path) -> bool:
    """Force everything on a folder's file system to the disk; False if that is not possible.

    For many small files this takes a tenth of the time of one call each, which all wait for the
    journal of the file system.
    """
    if _FOLDER is None:
        return False
    import ctypes

    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:  # not Linux
        return False
    descriptor = os.open(folder, os.O_RDONLY | _FOLDER)
    try:
        if syncfs(descriptor) == 0:
            return True
        number = ctypes.get_errno()
        if number in _UNSUPPORTED:
            return False
        raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def _sync_each(root: Path, files: Iterable[Path]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    folders = {root.parent, root}
    with ThreadPoolExecutor(_THREADS) as pool:
        remaining = iter(files)
        while some := list(islice(remaining, _AT_A_TIME)):
            for folder in {path.parent for path in some} - folders:
                folders |= set(_up_to(root, folder))
            for _ in pool.map(sync_file, some):
                pass
        for _ in pool.map(sync_folder, folders):
            pass


def _up_to(root: Path, folder: Path) -> Iterator[Path]:
    while folder != root and folder != folder.parent:
        yield folder
        folder = folder.parent


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
