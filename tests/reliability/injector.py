"""Faults at numbered file-system calls: ``injector.c``, compiled once, and its settings.

The library counts the calls of a process and its children that change files below a folder. At a
chosen number it fails with an errno, writes only a part, or sends a signal.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import shutil
import signal
import struct
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("injector.c")
CALLS = (
    "open", "write", "truncate", "sync", "close", "rename", "unlink", "mkdir", "rmdir", "link",
    "attribute", "read-open", "read",
)  # fmt: skip
READS = frozenset({"read-open", "read"})
CHANGES = frozenset(CALLS) - READS
STATES = CHANGES - {"sync", "close", "attribute"}
"""Calls after which the files differ; a process that is killed before any other leaves the same."""
GROWING = frozenset({"open", "write", "truncate", "mkdir", "link"})
ACTIONS = ("count", "fail", "short", "signal", "signal-group", "torn")

_HEAD = struct.Struct("<IIiIIIQQQQ512s")
_LINE = struct.Struct("<iii240s")
_LINES, _STRAYS = 8192, 64
_SIZE = _HEAD.size + (_LINES + _STRAYS) * _LINE.size


class NoCompiler(Exception):
    """The library cannot be built here."""


def build_injector() -> Path:
    """Compile the library, or find what an earlier run compiled.

    Raises
    ------
    NoCompiler
        If there is no C compiler, or it cannot build a library to preload.
    """
    content = SOURCE.read_bytes()
    name = f"reliability-injector-{hashlib.sha256(content).hexdigest()[:16]}-{os.getuid()}.so"
    library = Path(tempfile.gettempdir()) / name
    if library.exists():
        return library
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NoCompiler("no C compiler (cc, gcc or clang) for the fault injector")
    new = library.with_suffix(f".{os.getpid()}")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(new), str(SOURCE), "-ldl"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise NoCompiler(f"the fault injector cannot be built: {made.stderr.strip()[-300:]}")
    os.replace(new, library)
    return library


@dataclass(frozen=True)
class Fault:
    """What happens at the call number ``at`` (from 1) among those in ``calls``.

    ``value`` is the errno or the signal. Calls of the kinds in ``lasting`` also fail later.
    """

    action: str = "count"
    at: int = 0
    value: int = 0
    calls: frozenset[str] = CHANGES
    lasting: frozenset[str] = frozenset()

    def __str__(self) -> str:
        if self.action == "count":
            return "undisturbed"
        what = {
            "fail": errno.errorcode.get(self.value, str(self.value)),
            "short": "short write",
            "torn": "torn write and SIGKILL",
        }.get(self.action) or signal.Signals(self.value).name
        whole = " of all processes" if self.action == "signal-group" else ""
        return f"{what}{whole} at call {self.at}{' and later' if self.lasting else ''}"


def killed(at: int, *, group: bool = False) -> Fault:
    """SIGKILL before the call ``at``; ``group`` also kills all other processes of the command."""
    return Fault("signal-group" if group else "signal", at, signal.SIGKILL, STATES)


def torn(at: int) -> Fault:
    """SIGKILL in the middle of the write number ``at``."""
    return Fault("torn", at, signal.SIGKILL, frozenset({"write"}))


def interrupted(at: int, number: signal.Signals) -> Fault:
    """A signal that a command reacts to, before the call ``at``."""
    return Fault("signal", at, number, STATES)


def short_write(at: int) -> Fault:
    """The write number ``at`` takes only half of its bytes."""
    return Fault("short", at, 0, frozenset({"write"}))


def disk_full(at: int, error: int = errno.ENOSPC) -> Fault:
    """From the call ``at`` on there is no more space: what makes files grow fails."""
    return Fault("fail", at, error, GROWING, GROWING)


def broken(at: int, error: int = errno.EIO, *, lasting: bool = False) -> Fault:
    """The change number ``at`` fails; with ``lasting``, all later ones do too."""
    return Fault("fail", at, error, CHANGES, CHANGES if lasting else frozenset())


def read_only(at: int) -> Fault:
    """From the call ``at`` on the disk is mounted read-only: names cannot change any more."""
    kinds = frozenset({"open", "rename", "unlink", "mkdir", "rmdir", "link"})
    return Fault("fail", at, errno.EROFS, kinds, kinds)


def unreadable(at: int, error: int = errno.EIO) -> Fault:
    """The read number ``at`` of an input fails."""
    return Fault("fail", at, error, frozenset({"read"}))


def no_more_files(at: int) -> Fault:
    """From the call ``at`` on no file can be opened any more."""
    kinds = frozenset({"open", "read-open"})
    return Fault("fail", at, errno.EMFILE, kinds, kinds)


@dataclass(frozen=True)
class Call:
    """One counted call."""

    kind: str
    path: str
    process: int
    hit: bool = False


class Control:
    """The memory that this process shares with the library."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self._root = os.fsencode(root)
        path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SIZE)

    def set(self, fault: Fault) -> None:
        """Set the fault of the next run and forget the last one's calls; still disarmed."""
        self._memory[:] = bytes(_SIZE)
        masks = [_mask(fault.calls), _mask(fault.lasting)]
        action = ACTIONS.index(fault.action)
        head = (0, action, fault.value, *masks, 0, fault.at, 0, 0, 0, self._root)
        self._memory[: _HEAD.size] = _HEAD.pack(*head)

    def arm(self, on: bool) -> None:
        """Start or stop counting."""
        self._memory[:4] = struct.pack("<I", on)

    @property
    def count(self) -> int:
        """The number of calls so far."""
        return int(self._head[7])

    @property
    def hits(self) -> int:
        """How often the fault came about."""
        return int(self._head[8])

    @property
    def _head(self) -> tuple[int, ...]:
        return _HEAD.unpack(self._memory[: _HEAD.size])

    def calls(self) -> list[Call]:
        """The counted calls in their order, at most the first 8192."""
        return self._lines(0, min(self.count, _LINES))

    def strays(self) -> list[str]:
        """Files outside the folder that were opened for writing."""
        return sorted({call.path for call in self._lines(_LINES, min(self._head[9], _STRAYS))})

    def _lines(self, first: int, number: int) -> list[Call]:
        start = _HEAD.size + first * _LINE.size
        found = _LINE.iter_unpack(self._memory[start : start + number * _LINE.size])
        root = os.fsdecode(self._root) + "/"
        return [
            Call(
                CALLS[op], os.fsdecode(text.split(b"\0")[0]).removeprefix(root), process, bool(hit)
            )
            for op, process, hit, text in found
        ]


def _mask(kinds: Iterable[str]) -> int:
    return sum(1 << CALLS.index(kind) for kind in kinds)
