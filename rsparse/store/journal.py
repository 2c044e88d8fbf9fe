"""A journal of finished items, so that an interrupted run can be resumed.

JSON lines with checksums: the first line identifies the run, each further line holds a finished
item. Lines are only appended. If a crash leaves a partial line, or a line was changed, it and what
follows is cut off when the journal is next opened. A lock of the operating system keeps two runs
from writing the same output.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from rsparse.errors import InputError, MachineError, system_error, write_error
from rsparse.store.descriptors import read_at, write_at
from rsparse.store.files import refuse_existing, refuse_taken
from rsparse.store.journal_lock import open_locked
from rsparse.store.lines import from_checked_line, text_of_checked_line, to_checked_line, to_line
from rsparse.store.pending import IN_ONE_GO, Renames, as_line, journal_of

Entry = dict[str, Any]

__all__ = ["IN_ONE_GO", "Entry", "Journal", "journal_beside", "remove_journal_beside", "to_line"]


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


class _Group(NamedTuple):
    """Lines that were added together, in the order of their names."""

    first: str
    last: str
    place: int
    size: int
    lines: int


class Journal:
    """The entries of a run, one for each ``name``; only their file offsets are kept in memory.

    As long as no entry is asked for by its name, only the offsets of groups are kept, so that a
    run over many images in large groups takes hardly any memory.
    """

    def __init__(self, path: Path, output: Path, descriptor: int) -> None:
        self.path, self.output = path, output
        self._descriptor = descriptor
        self._file = os.fdopen(descriptor, "rb")
        self._places: dict[str, int] = {}
        self._groups: list[_Group] = []
        self._end = 0
        self.is_promised = False
        self.files_are_durable = False
        """Whether the files of all entries have been forced to disk."""

    @classmethod
    def open(
        cls, path: Path, run: Mapping[str, Any], output: Path, *, overwrite: bool = False
    ) -> Journal:
        """Start the journal of ``run``, a job's identity, or resume the existing one.

        Raises
        ------
        InputError
            If another run is writing it now, or it belongs to a run with other inputs or
            parameters, which ``overwrite`` forgets.
        MachineError
            If the disk is full, for example.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = open_locked(path, output, os.O_CREAT)
        except OSError as error:
            raise system_error(error, f"{output}: cannot be written") from error
        journal = cls(path, output, descriptor)
        try:
            first = journal._load()
            if first != json.loads(to_line(run)):
                if not (overwrite or first in (None, IN_ONE_GO)):
                    raise _other_run(output, first, run)
                journal._start(run)
        except BaseException:
            journal.close()
            raise
        return journal

    @staticmethod
    def is_of(path: Path, run: Mapping[str, Any]) -> bool:
        """Whether a journal exists and belongs to exactly this run."""
        try:
            with path.open("rb") as file:
                return file.readline() == to_checked_line(run)
        except OSError:
            return False

    def _load(self) -> Any:
        """Index the whole lines, cut off what follows them, and return the first line's value."""
        first = None
        try:
            for line in self._file:
                entry = from_checked_line(line)
                if entry is None or (first is not None and not isinstance(entry.get("name"), str)):
                    break
                if first is None:
                    first = entry
                else:
                    self._places[entry["name"]] = self._end
                self._end += len(line)
            self._cut_off()
        except OSError as error:
            raise system_error(error, f"{self.path}: cannot be read") from error
        return first

    def _cut_off(self) -> None:
        """Remove what follows the last whole line."""
        os.ftruncate(self._descriptor, self._end)
        self._file.seek(0, os.SEEK_END)  # forgets what was read beyond the new end

    def _start(self, run: Mapping[str, Any]) -> None:
        """Begin anew with the line of a run."""
        self.drop_all()
        self._end = 0
        self._cut_off()
        self._write(run)

    def _write(self, value: Mapping[str, Any]) -> int:
        """Append a line, and return its place."""
        return self._append(to_checked_line(value))

    def _append(self, lines: bytes) -> int:
        """Append lines, and return their place; after a failure, the next ones take it."""
        place = end = self._end
        left = memoryview(lines)
        try:
            while left:
                written = write_at(self._descriptor, left, end)
                left, end = left[written:], end + written
        except OSError as error:
            raise write_error(error, f"{self.path}: cannot be written") from error
        self._end = end
        return place

    def add(self, entry: Entry) -> None:
        """Add a finished item."""
        self.extend([entry["name"]], to_checked_line(entry))

    def extend(self, names: Sequence[str], lines: bytes) -> None:
        """Add finished items by their lines, which ``to_checked_line`` has made."""
        if not names:
            return
        place = self._append(lines)
        if not self._places and all(one < other for one, other in pairwise(names)):
            self._groups.append(_Group(names[0], names[-1], place, len(lines), len(names)))
            return
        places = self._by_name()
        for name, line in zip(names, lines.split(b"\n")[:-1], strict=True):
            places[name] = place
            place += len(line) + 1

    def promise(self, renames: Renames) -> None:
        """Note that the artifact is finished but for these renames, whatever happens next."""
        place = self._end
        self.is_promised = True  # before the line, since a signal may come right after it
        try:
            self._write(as_line(renames, self.path.parent))
            os.fsync(self._descriptor)
        except BaseException:
            os.ftruncate(self._descriptor, place)
            self._end, self.is_promised = place, False
            raise

    def drop(self, name: str) -> None:
        """Remove an item, for example because its input has changed."""
        self._by_name().pop(name, None)

    def drop_all(self) -> None:
        """Remove all items of a run that cannot succeed and must not be resumed."""
        self._places.clear()
        self._groups.clear()

    def _by_name(self) -> dict[str, int]:
        """The places of all entries."""
        groups, self._groups = self._groups, []
        for group in groups:
            place = group.place
            for line in self._lines_of(group):
                self._places[_parsed(self._text(line))["name"]] = place
                place += len(line)
        return self._places

    def _lines_of(self, group: _Group) -> list[bytes]:
        content = read_at(self._descriptor, group.size, group.place)
        return content.splitlines(keepends=True)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name()

    def __len__(self) -> int:
        return len(self._places) + sum(group.lines for group in self._groups)

    def __getitem__(self, name: str) -> Entry:
        self._file.seek(self._by_name()[name])
        return _parsed(self._text(self._file.readline()))

    def _text(self, line: bytes) -> bytes:
        text = text_of_checked_line(line)
        if text is None:
            raise MachineError(f"{self.path}: was changed while it was in use")
        return text

    def texts(self) -> Iterator[bytes]:
        """The JSON text of all entries, sorted by name."""
        groups = sorted(self._groups)
        if self._places or any(one.last >= other.first for one, other in pairwise(groups)):
            groups = []
            for _, place in sorted(self._by_name().items()):
                self._file.seek(place)
                yield self._text(self._file.readline())
        for group in groups:
            yield from map(self._text, self._lines_of(group))

    def entries(self) -> Iterator[Entry]:
        """All entries, sorted by name."""
        return map(_parsed, self.texts())

    def close(self, *, finished: bool = False) -> None:
        """Close the journal and release its lock; ``finished`` also deletes the file."""
        if self._file.closed:
            return
        if finished:
            self.path.unlink(missing_ok=True)
        self._file.close()


def _parsed(text: bytes) -> Entry:
    entry: Entry = json.loads(text.decode())  # faster than from bytes of unknown encoding
    return entry


@contextmanager
def journal_beside(
    output: Path | None, run: Mapping[str, Any], overwrite: bool, others: Iterable[Path] = ()
) -> Iterator[Journal]:
    """The journal of a run that writes the single file ``output``: a hidden file next to it.

    The journal is deleted when the block succeeds, and also when it fails before any item is
    finished. Otherwise it is kept, so that the same command can resume. Without ``output`` it
    exists only for the duration of the block. ``others`` are further files that the run writes,
    such as a plot: they are locked, too. The run of an output without items is ``IN_ONE_GO``.

    Raises
    ------
    InputError
        If the output exists or cannot be written, or another run's journal is there.
        ``overwrite`` replaces both.
    """
    if output is None:
        with TemporaryDirectory() as folder:
            journal = Journal.open(Path(folder) / "journal", run, Path(folder))
            try:
                yield journal
            finally:
                journal.close()
        return
    refuse_existing(output, overwrite)
    journal = Journal.open(journal_of(output), run, output, overwrite=overwrite)
    finished = False
    try:
        refuse_taken(output, overwrite)  # by a run that has finished in between
        with ExitStack() as locks:
            for other in others:
                locks.enter_context(journal_beside(other, IN_ONE_GO, overwrite))
            yield journal
        finished = True
    finally:
        is_empty = len(journal) == 0 and not journal.is_promised
        journal.close(finished=finished or is_empty)


def remove_journal_beside(output: Path) -> None:
    """Delete the journal of a run whose output was finished otherwise.

    Use it only for an output that is complete and that no other run is writing.
    """
    journal_of(output).unlink(missing_ok=True)
