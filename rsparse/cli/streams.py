"""The standard streams of the process: one that is closed, full or broken does no harm."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from rsparse.errors import reason


class OutputClosedError(Exception):
    """The reader of the standard output has closed it, as ``| head`` does."""


class OutputFailedError(Exception):
    """The standard output cannot be written, for example because its disk is full."""


class _Stream(io.FileIO):
    """A stream that belongs to the process, not to this object."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, content: object) -> int:
        """Write some of ``content``; wait if the reader is slow, even if the stream does not."""
        while (written := super().write(content)) is None:  # type: ignore[arg-type]
            select.select([], [self.fileno()], [])
        return written


class _Output(_Stream):
    """Standard output, whose errors can be told from those of other files."""

    def write(self, content: object) -> int:
        try:
            return super().write(content)
        except BrokenPipeError as error:
            raise OutputClosedError from error
        except OSError as error:
            raise OutputFailedError(
                f"standard output: cannot be written: {reason(error)}"
            ) from error


class _ClosedOutput(_Stream):
    """Standard output that was closed when the program began: there is no place for a result."""

    def write(self, content: object) -> int:  # noqa: ARG002
        raise OutputFailedError(
            "standard output: is closed; send it to a file, or to /dev/null if it is not needed"
        )


class _Messages(_Stream):
    """Standard error, whose messages are lost if nobody can take them."""

    def write(self, content: object) -> int:
        try:
            return super().write(content)
        except OSError:
            return len(memoryview(content))  # type: ignore[arg-type]


@contextmanager
def safe_streams() -> Iterator[None]:
    """Replace the standard streams while the block runs.

    Characters that a stream cannot encode are escaped. A closed stream becomes the null device
    for libraries, which would otherwise write to the first file that takes its number. Messages
    that cannot be written are lost; results that cannot be written, also because standard output
    is closed, raise ``OutputClosedError`` or ``OutputFailedError``.
    """
    output = _ClosedOutput if 1 in _open_missing() else _Output
    streams = sys.stdout, sys.stderr
    sys.stdout = _text(output(1), streams[0], by_line=os.isatty(1))
    sys.stderr = _text(_Messages(2), streams[1], by_line=True)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OutputClosedError, OutputFailedError):
                discard_output()
        sys.stdout, sys.stderr = streams


def discard_output() -> None:
    """Send what is still to be written to standard output to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _open_missing() -> list[int]:
    """Open the null device for each standard stream that is closed, and return their numbers."""
    missing = []
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # the lowest number that is free
        missing.append(descriptor)
    os.close(descriptor)
    return missing


def _text(raw: _Stream, replaced: IO[str] | None, *, by_line: bool) -> io.TextIOWrapper:
    encoding = getattr(replaced, "encoding", None) or "utf-8"
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=by_line)
