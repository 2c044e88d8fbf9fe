"""Renames that finish an artifact of several files.

They are written to the artifact's journal before the first one. If the process is killed among
them, ``settle`` makes the remaining ones: the artifact is complete once its journal has that line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rsparse.errors import system_error
from rsparse.store.descriptors import SAFE, is_at, read_at, try_lock
from rsparse.store.lines import from_checked_line
from rsparse.store.syncing import sync_folder
from rsparse.store.temporaries import is_temporary, name_beside, remove, remove_unlocked

Renames = Sequence[tuple[Path, Path]]
"""Each temporary with the path that it gets."""

JOURNAL = ".rsparse-journal.jsonl"
"""The journal in an output that is a folder, and the end of the name of one next to a file."""

IN_ONE_GO = {"stage": "finish"}
"""The identity of every run that has no items to continue with: its journal is only a lock."""

_KEY = "renames"
_LONGEST = 2**20  # bytes of the line


def journal_of(output: Path) -> Path:
    """The journal next to an output that is a file, or a folder replaced as a whole."""
    return hidden_beside(output, JOURNAL.removeprefix("."))


def hidden_beside(output: Path, kind: str) -> Path:
    """A hidden name next to an output, ``.NAME.KIND``; a long NAME is shortened."""
    name = os.fsencode(output.name)
    if len(name) + len(kind) > 200:
        import hashlib

        shortened = name[:100].decode("ascii", "replace").replace("\ufffd", "_")
        return output.with_name(f".{shortened}.{hashlib.sha256(name).hexdigest()[:16]}.{kind}")
    return output.with_name(f".{output.name}.{kind}")


def as_line(renames: Renames, folder: Path) -> dict[str, Any]:
    """The line of a journal in ``folder`` that promises the renames."""
    pairs = [[os.path.relpath(place, folder), temporary.name] for temporary, place in renames]
    return {_KEY: [[os.fsencode(text).decode("latin-1") for text in pair] for pair in pairs]}


def complete(renames: Renames) -> None:
    """Make those renames that are not made yet."""
    for temporary, place in renames:
        if not os.path.lexists(temporary):
            continue
        if temporary.is_dir() and os.path.lexists(place):
            old = name_beside(place)
            os.replace(place, old)
            os.replace(temporary, place)
            remove(old)
        else:
            os.replace(temporary, place)
    for folder in {place.parent for _, place in renames}:
        sync_folder(folder)


def settle(journal: Path) -> None:
    """Finish the artifact of a journal if its run was killed among the renames.

    A journal that is only a lock is removed if its run was killed, also those of the artifact's
    other files.

    Raises
    ------
    InputError, MachineError
        If the artifact needs to be finished but cannot be.
    """
    try:
        descriptor = os.open(journal, os.O_RDWR | SAFE)
    except OSError:
        return  # the usual case: there is none
    try:
        start, line = _last_line(descriptor)
        renames = list(_promised(line, journal.parent))
        is_over = renames or line == IN_ONE_GO
        if is_over and try_lock(descriptor) and is_at(descriptor, journal):
            complete(renames)
            if all(os.path.lexists(place) for _, place in renames):
                journal.unlink(missing_ok=True)
                for _, place in renames:
                    settle(journal_of(place))
            else:  # the temporaries have gone, so that the run goes on
                os.ftruncate(descriptor, start)
    except OSError as error:
        raise system_error(error, f"{journal}: its artifact cannot be finished") from error
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporaries in a folder that killed processes left, and finish their artifacts."""
    try:
        names = os.listdir(folder)
    except OSError:
        return  # reported when the output is written
    _remove_leftovers(folder, names)


def remove_leftovers_below(folder: Path) -> None:
    """``remove_leftovers`` in a folder and all its subfolders."""
    for parent, folders, files in os.walk(folder):
        _remove_leftovers(Path(parent), [*files, *folders])
        folders[:] = [name for name in folders if not is_temporary(name)]


def _remove_leftovers(folder: Path, names: Sequence[str]) -> None:
    temporaries = [folder / name for name in names if is_temporary(name)]
    if temporaries:
        for name in names:
            if name.endswith(JOURNAL):
                settle(folder / name)
        remove_unlocked(temporaries)


def _last_line(descriptor: int) -> tuple[int, Mapping[str, Any]]:
    """The place and the value of a journal's last line; empty if it is damaged."""
    size = os.fstat(descriptor).st_size
    end = read_at(descriptor, _LONGEST, max(0, size - _LONGEST))
    last = end[end.rfind(b"\n", 0, -1) + 1 :]
    return size - len(last), from_checked_line(last) or {}


def _promised(line: Mapping[str, Any], folder: Path) -> Iterator[tuple[Path, Path]]:
    """The renames that a line promises, if any."""
    pairs = line.get(_KEY)
    for pair in pairs if isinstance(pairs, list) else ():
        try:
            place, name = (os.fsdecode(text.encode("latin-1")) for text in pair)
            to = folder / place
            pending = to.with_name(name), to
        except (AttributeError, TypeError, ValueError):
            continue  # not written by rsparse
        if is_temporary(name) and "\0" not in place:
            yield pending
