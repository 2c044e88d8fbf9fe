"""Checksums at the end of files, by which a file tells whether it is as it was written.

The last line of such a file is ``rsparse sha256 HEX``, the digest of everything before it. HDF5
ignores what follows its own end.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_MARK = b"\nrsparse sha256 "
_LENGTH = len(_MARK) + 64 + 1
_BLOCK = 1 << 20


def checksum_line(content: bytes) -> bytes:
    """The line that ends a file of this content."""
    return _line(hashlib.sha256(content).hexdigest())


def _line(digest: str) -> bytes:
    return _MARK + digest.encode() + b"\n"


def without_checksum(content: bytes) -> bytes | None:
    """The content of a file before its checksum, or None if that is missing or wrong."""
    inner, line = content[:-_LENGTH], content[-_LENGTH:]
    return inner if line == checksum_line(inner) else None


def append_checksum(path: Path) -> None:
    """Append the line with the checksum to a file."""
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0, os.SEEK_END)
        file.write(_line(digest))


def checksum_at_end(file: BinaryIO) -> bytes | None:
    """The line with the checksum at the end of an open file, or None if there is none."""
    file.seek(max(0, os.fstat(file.fileno()).st_size - _LENGTH))
    line = file.read()
    return line if line.startswith(_MARK) else None


def checksum_holds(file: BinaryIO, see: Callable[[bytes], None] = lambda block: None) -> bool:
    """Whether the checksum at the end of an open file is that of its content.

    Parameters
    ----------
    file : BinaryIO
        A file that has a checksum.
    see : callable
        Called with each block of the content, which is read only once.
    """
    left = os.fstat(file.fileno()).st_size - _LENGTH
    digest = hashlib.sha256()
    file.seek(0)
    while left > 0 and (block := file.read(min(_BLOCK, left))):
        digest.update(block)
        see(block)
        left -= len(block)
    return file.read() == _line(digest.hexdigest())
