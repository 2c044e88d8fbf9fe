"""A journal of finished items, so that an interrupted run can be resumed.

JSON lines: the first line identifies the run, each further line holds a finished item. Lines are
only appended. If a crash leaves a partial line, it is cut off when the journal is next opened. A
lock of the operating system keeps two runs from writing the same output.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from rsparse.errors import InputError, system_error
from rsparse.store.files import refuse_existing

Entry = dict[str, Any]


def to_line(value: Mapping[str, Any]) -> bytes:
    """One JSON line with sorted keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _lock(file: BinaryIO, output: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise InputError(f"{output}: is being written by another run") from error


def _other_run(output: Path, first: Mapping[str, Any], run: Mapping[str, Any]) -> InputError:
    """The error for a journal that belongs to another run."""
    own = json.loads(to_line(run))
    changed = {key for key in own | first if own.get(key) != first.get(key)}
    if changed <= {"method", "format_version"}:
        return InputError(
            f"{output}: holds an unfinished run of another rsparse version with a different "
            "method; pass --overwrite to start again"
        )
    return InputError(
        f"{output}: holds an unfinished run with other inputs or parameters; "
        "finish that run, or pass --overwrite to start again"
    )


class Journal:
    """The entries of a run, one for each ``name``; only their file offsets are kept in memory."""

    def __init__(self, path: Path, file: BinaryIO, places: dict[str, int]) -> None:
        self.path = path
        self._file = file
        self._places = places

    @classmethod
    def open(cls, path: Path, run: Mapping[str, Any], output: Path) -> Journal:
        """Start the journal of ``run``, a job's identity, or resume the existing one.

        Raises
        ------
        InputError
            If another run is writing it now, or it belongs to a run with other inputs or
            parameters.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        except OSError as error:
            raise system_error(error, f"{output}: cannot be written") from error
        _lock(file, output)
        journal = cls(path, file, {})
        first = journal._load()
        if first is None:
            journal._write(run)
        elif first != json.loads(to_line(run)):
            file.close()
            raise _other_run(output, first, run)
        return journal

    @staticmethod
    def is_of(path: Path, run: Mapping[str, Any]) -> bool:
        """Whether a journal exists and belongs to exactly this run."""
        try:
            with path.open("rb") as file:
                return file.readline() == to_line(run)
        except OSError:
            return False

    @staticmethod
    def refuse_running(path: Path, output: Path) -> None:
        """Raise ``InputError`` if another run is writing the journal now."""
        if path.exists():
            with path.open("rb") as file:
                _lock(file, output)

    def _load(self) -> Any:
        """Index the complete lines, cut off a partial one, and return the first line's content."""
        first, end = None, 0
        self._file.seek(0)
        for line in self._file:
            try:
                entry = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n") or not isinstance(entry, dict):
                break
            if end == 0:
                first = entry
            else:
                self._places[str(entry.get("name"))] = end
            end += len(line)
        self._file.truncate(end)
        return first

    def _write(self, value: Mapping[str, Any]) -> int:
        place = self._file.seek(0, os.SEEK_END)
        self._file.write(to_line(value))
        self._file.flush()
        return place

    def add(self, entry: Entry) -> None:
        """Add a finished item."""
        self._places[entry["name"]] = self._write(entry)

    def drop(self, name: str) -> None:
        """Remove an item, for example because its input has changed."""
        self._places.pop(name, None)

    def drop_all(self) -> None:
        """Remove all items of a run that cannot succeed and must not be resumed."""
        self._places.clear()

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, name: str) -> Entry:
        self._file.seek(self._places[name])
        entry: Entry = json.loads(self._file.readline())
        return entry

    def entries(self) -> Iterator[Entry]:
        """All entries, sorted by name."""
        for name in sorted(self._places):
            yield self[name]

    def close(self, *, finished: bool = False) -> None:
        """Close the journal and release its lock; ``finished`` also deletes the file."""
        if finished:
            self.path.unlink(missing_ok=True)
        self._file.close()


@contextmanager
def journal_beside(
    output: Path | None, run: Mapping[str, Any], overwrite: bool
) -> Iterator[Journal]:
    """The journal of a run that writes the single file ``output``: a hidden file next to it.

    The journal is deleted when the block succeeds, and also when it fails before any item is
    finished. Otherwise it is kept, so that the same command can resume. Without ``output`` it
    exists only for the duration of the block.

    Raises
    ------
    InputError
        If the output exists or cannot be written, or another run's journal is there.
        ``overwrite`` replaces both.
    """
    if output is None:
        with TemporaryDirectory() as folder:
            journal = Journal.open(Path(folder) / "journal", run, Path(folder))
            yield journal
            journal.close()
        return
    refuse_existing(output, overwrite)
    path = _beside(output)
    if overwrite and not Journal.is_of(path, run):
        Journal.refuse_running(path, output)
        path.unlink(missing_ok=True)
    journal = Journal.open(path, run, output)
    finished = False
    try:
        yield journal
        finished = True
    finally:
        journal.close(finished=finished or len(journal) == 0)


def remove_journal_beside(output: Path) -> None:
    """Delete the journal of a run that was killed after it wrote its output.

    Use it only for an output that is complete and that no other run is writing.
    """
    _beside(output).unlink(missing_ok=True)


def _beside(output: Path) -> Path:
    return output.with_name(f".{output.name}.rsparse-journal.jsonl")
