"""Write folders that are not artifacts, such as reports, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rsparse.errors import InputError, system_error
from rsparse.store.folders import refuse_overlap
from rsparse.store.journal import IN_ONE_GO, Journal
from rsparse.store.pending import journal_of, remove_leftovers, settle
from rsparse.store.syncing import sync_tree
from rsparse.store.together import appear_together


class AtomicFolder:
    """A folder that is written under a temporary name and then renamed."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self.path, self._journal = path, journal

    @classmethod
    @contextmanager
    def open(
        cls, path: Path, is_own: Callable[[Path], bool], inputs: Iterable[Path], overwrite: bool
    ) -> Iterator[AtomicFolder]:
        """Keep other runs from writing the folder during the block, which may fill it.

        Parameters
        ----------
        path : Path
        is_own : callable
            Whether a file, given by its path relative to the folder, may be replaced.
        inputs : iterable of Path
            The inputs; the output must neither lie inside one nor contain one.
        overwrite : bool
            Replace the folder if all its files are our own.

        Raises
        ------
        InputError
            If the folder exists or cannot be written, or another run is writing it now.
        """
        refuse_overlap(path, inputs)
        absolute = path.absolute()
        settle(journal_of(absolute))
        remove_leftovers(absolute.parent)
        _refuse_taken(path, is_own, overwrite)
        journal = Journal.open(journal_of(absolute), IN_ONE_GO, path, overwrite=overwrite)
        is_finished = False
        try:
            _refuse_taken(path, is_own, overwrite)  # by a run that has finished in between
            yield cls(absolute, journal)
            is_finished = True
        finally:
            journal.close(finished=is_finished or not journal.is_promised)

    @contextmanager
    def filled(self) -> Iterator[Path]:
        """Yield a new folder that takes its place if the block succeeds, else is removed."""
        with (
            appear_together(self.path, self._journal) as members,
            members.create_folder(self.path) as new,
        ):
            yield new
            sync_tree(new, list(_files(new)))


def _refuse_taken(path: Path, is_own: Callable[[Path], bool], overwrite: bool) -> None:
    try:
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: is a file; name a folder")
        taken = path.is_dir() and any(path.iterdir())
    except OSError as error:
        raise system_error(error, f"{path}: cannot be written") from error
    if taken and not all(is_own(file.relative_to(path)) for file in _files(path)):
        raise InputError(f"{path}: contains other files; choose an empty or new folder")
    if taken and not overwrite:
        raise InputError(f"{path}: exists; choose another output or pass --overwrite")


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, files in os.walk(folder):
        for file in files:
            yield Path(parent, file)
