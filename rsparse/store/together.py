"""Artifacts of several files, which appear together or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsparse.errors import write_error
from rsparse.store.journal import Journal
from rsparse.store.pending import IN_ONE_GO, Renames, complete, journal_of
from rsparse.store.temporaries import Temporary, create_beside


class Members:
    """The files, and folders that are replaced as a whole, of one artifact.

    Each is written as a temporary next to its place, and forced to disk.
    """

    def __init__(self) -> None:
        self._temporaries: dict[Path, Temporary] = {}
        self._journal: Journal | None = None

    def write(self, path: Path, content: bytes) -> None:
        """Write a file.

        Raises
        ------
        MachineError
            If it cannot be written; an ``InputError`` if its name is the reason.
        """
        with self._filled(path, folder=False) as temporary:
            temporary.write(content)

    @contextmanager
    def create(self, path: Path) -> Iterator[Path]:
        """Yield the temporary of a file, to be filled in the block; errors as for ``write``."""
        with self._filled(path, folder=False) as temporary:
            yield temporary.path

    @contextmanager
    def create_folder(self, path: Path) -> Iterator[Path]:
        """Yield the temporary of a folder, to be filled in the block; errors as for ``write``."""
        with self._filled(path, folder=True) as temporary:
            yield temporary.path

    @contextmanager
    def _filled(self, path: Path, *, folder: bool) -> Iterator[Temporary]:
        try:
            temporary = self._temporaries[path] = create_beside(path, folder=folder)
            yield temporary
            os.fsync(temporary.descriptor)
        except OSError as error:
            raise write_error(error, f"{path}: cannot be written") from error

    def temporary(self, path: Path) -> Path:
        """Where a file lies until it takes its place."""
        return self._temporaries[path].path

    def take_places(self, main: Path, journal: Journal | None) -> None:
        """Rename all of them, ``main`` last; see ``appear_together``."""
        order = sorted(self._temporaries, key=lambda path: path == main)
        renames = [(self._temporaries[path].path, path) for path in order]
        try:
            if journal is not None:
                self._rename(renames, journal)
            elif len(renames) == 1 and not renames[0][0].is_dir():
                complete(renames)  # a single step needs no promise
            else:
                own = Journal.open(journal_of(main), IN_ONE_GO, main)
                is_finished = False
                try:
                    self._rename(renames, own)
                    is_finished = True
                finally:
                    own.close(finished=is_finished or not own.is_promised)
        except OSError as error:
            raise write_error(error, f"{main}: cannot be written") from error

    def _rename(self, renames: Renames, journal: Journal) -> None:
        self._journal = journal
        journal.promise(renames)
        complete(renames)

    def release(self) -> None:
        """Remove the temporaries that are left, unless the next run will rename them."""
        is_promised = self._journal is not None and self._journal.is_promised
        for temporary in self._temporaries.values():
            temporary.release() if is_promised else temporary.discard()


@contextmanager
def appear_together(main: Path, journal: Journal | None = None) -> Iterator[Members]:
    """Write the files of an artifact; they take their places if the block succeeds.

    All renames are first noted in the artifact's journal. From then on the artifact is finished:
    if the process is killed among them, the next run or reader makes the rest (``settle``). Until
    then, nothing has changed.

    Parameters
    ----------
    main : Path
        The file by which the artifact is named; it is renamed last.
    journal : Journal, optional
        The journal of the run, which the caller removes. By default, one is used for the renames
        only.

    Raises
    ------
    MachineError
        If the files cannot be renamed.
    """
    members = Members()
    try:
        yield members
        members.take_places(main, journal)
    finally:
        members.release()
