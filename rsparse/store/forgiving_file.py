"""A file for libraries that crash if a write fails: the error is raised at the end instead."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self


class ForgivingFile(io.RawIOBase):
    """A new file whose writes seem to succeed, even if the disk is full.

    libhdf5 ends the process if it cannot close a file. It therefore writes to such an object, which
    keeps the first error and does nothing more after it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._error: OSError | None = None

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Self]:
        """The file, closed at the end of the block.

        Raises
        ------
        OSError
            The first error of a write, instead of whatever the block raises because of it.
        """
        with cls(path) as file:
            try:
                yield file
            finally:
                if file._error is not None:
                    raise file._error

    def write(self, content: Any) -> int:
        """Write all of ``content``."""
        self._try(self._write_all, content)
        return len(memoryview(content).cast("B"))

    def truncate(self, size: int | None = None) -> int:
        """Cut the file off, or extend it."""
        self._try(self._file.truncate, size)
        return size or 0

    def _try(self, function: Callable[[Any], object], argument: Any) -> None:
        if self._error is None:
            try:
                function(argument)
            except OSError as error:
                self._error = error

    def _write_all(self, content: Any) -> None:
        left = memoryview(content).cast("B")
        while left:
            left = left[self._file.write(left) or 0 :]

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        return self._file.readinto(buffer) or 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The present place."""
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
