"""Temporary files and folders beside an output, each locked by the process that writes it.

A lock ends with its process, however that ends. A temporary that nobody locks was left by a killed
process, and the next run that writes to the folder removes it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rsparse.store.descriptors import BINARY, SAFE, is_at, try_lock

_NAME = re.compile(r"\.[0-9a-f]{16}\.\d+\.tmp")


@dataclass(frozen=True)
class Temporary:
    """A temporary file or folder, and the open descriptor that holds its lock."""

    path: Path
    descriptor: int

    def write(self, content: bytes) -> None:
        """Write the whole content of a file."""
        left = memoryview(content)
        while left:
            left = left[os.write(self.descriptor, left) :]

    def discard(self) -> None:
        """Remove it if it is still there, and release its lock."""
        remove(self.path)
        self.release()

    def release(self) -> None:
        """Release its lock, and leave it where it is."""
        os.close(self.descriptor)


@contextmanager
def temporary_beside(path: Path, *, folder: bool = False) -> Iterator[Temporary]:
    """A new temporary next to ``path``, removed at the end of the block if it is still there."""
    temporary = create_beside(path, folder=folder)
    try:
        yield temporary
    finally:
        temporary.discard()


def create_beside(path: Path, *, folder: bool = False) -> Temporary:
    """A new temporary next to ``path``, and the folders above it."""
    while True:
        temporary = name_beside(path)
        descriptor = _create(temporary, folder)
        if try_lock(descriptor) is not False and is_at(descriptor, temporary):
            return Temporary(temporary, descriptor)
        os.close(descriptor)  # it was taken for a leftover before it was locked


def name_beside(path: Path) -> Path:
    """The path of a temporary that does not exist yet.

    Its name is short, and differs from that of another machine writing the same file.
    """
    return path.with_name(f".{os.urandom(8).hex()}.{os.getpid()}.tmp")


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is a temporary."""
    return _NAME.fullmatch(name) is not None


def remove_unlocked(temporaries: Iterable[Path]) -> None:
    """Remove those temporaries that no process locks."""
    for temporary in temporaries:
        try:
            descriptor = os.open(temporary, os.O_RDONLY | SAFE)
        except OSError:
            continue
        try:
            if try_lock(descriptor):
                remove(temporary)
        finally:
            os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or folder, as far as possible."""
    try:
        path.unlink()
    except FileNotFoundError:
        pass
    except OSError:  # a folder, or in a folder that is unusable, which is reported elsewhere
        shutil.rmtree(path, ignore_errors=True)


def _create(path: Path, folder: bool) -> int:
    while True:
        try:
            if folder:
                path.mkdir()
                return os.open(path, os.O_RDONLY)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY, 0o666)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
