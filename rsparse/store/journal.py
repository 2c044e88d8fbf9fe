"""A journal of finished items, so that an interrupted run goes on where it stopped.

JSON lines: the first says which run this is, each further one holds a finished item. Lines are
only appended; a line torn by a crash is cut off when the journal is opened again. An operating
system lock keeps two runs from writing the same output.
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

from rsparse.errors import InputError, reason
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
    """What is raised where the journal is of another run."""
    own = json.loads(to_line(run))
    changed = {key for key in own | first if own.get(key) != first.get(key)}
    if changed <= {"method", "format_version"}:
        return InputError(
            f"{output}: holds an unfinished run that another version of rsparse began and this one "
            "would do otherwise; pass --overwrite to start anew"
        )
    return InputError(
        f"{output}: holds an unfinished run with other inputs or parameters; "
        "finish that one, or pass --overwrite to start anew"
    )


class Journal:
    """The entries of a run, one for each ``name``; kept on disk, only their places in memory."""

    def __init__(self, path: Path, file: BinaryIO, places: dict[str, int]) -> None:
        self.path = path
        self._file = file
        self._places = places

    @classmethod
    def open(cls, path: Path, run: Mapping[str, Any], output: Path) -> Journal:
        """Start the journal of ``run``, a job's identity, or take up the one that is there.

        Raises
        ------
        InputError
            If another run is writing it now, or it is of a run with other inputs or parameters.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        except OSError as error:
            raise InputError(f"{output}: cannot be written: {reason(error)}") from error
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
        """Whether there is a journal, and of this very run."""
        try:
            with path.open("rb") as file:
                return file.readline() == to_line(run)
        except OSError:
            return False

    @staticmethod
    def refuse_running(path: Path, output: Path) -> None:
        """Raise an ``InputError`` if a run is writing the journal now."""
        if path.exists():
            with path.open("rb") as file:
                _lock(file, output)

    def _load(self) -> Any:
        """Index the whole lines; cut off a torn one. The first line's content, or None."""
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
        """Note a finished item."""
        self._places[entry["name"]] = self._write(entry)

    def drop(self, name: str) -> None:
        """Forget an item whose input has changed since."""
        self._places.pop(name, None)

    def drop_all(self) -> None:
        """Forget all items: the run cannot succeed, and going on with it makes no sense."""
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
        """Let go of the journal; ``finished`` also removes it."""
        if finished:
            self.path.unlink(missing_ok=True)
        self._file.close()


@contextmanager
def journal_beside(
    output: Path | None, run: Mapping[str, Any], overwrite: bool
) -> Iterator[Journal]:
    """The journal of a run whose artifact is the one file ``output``; it lies beside it, hidden.

    It is removed when the block ends well, and also when it fails before anything was done;
    else it is kept, so that the same command goes on. Without ``output`` it lives only as long
    as the block.

    Raises
    ------
    InputError
        If the output exists or cannot be written, or if another run's journal is there; with
        ``overwrite`` both give way.
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


def forget_beside(output: Path) -> None:
    """Remove the journal of a run that was killed between finishing its output and removing it.

    For an output that is known to be whole, in a place that nobody else writes now.
    """
    _beside(output).unlink(missing_ok=True)


def _beside(output: Path) -> Path:
    return output.with_name(f".{output.name}.rsparse-journal.jsonl")
