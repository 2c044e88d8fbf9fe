"""Write folders that are not artifacts, such as reports, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rsparse.errors import InputError, system_error
from rsparse.store.folders import refuse_overlap
from rsparse.store.pending import journal_of, remove_leftovers, settle
from rsparse.store.syncing import sync_tree
from rsparse.store.together import appear_together


class AtomicFolder:
    """A folder that is written under a temporary name and then renamed.

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
        If the folder exists or cannot be written.
    """

    def __init__(
        self, path: Path, is_own: Callable[[Path], bool], inputs: Iterable[Path], overwrite: bool
    ) -> None:
        refuse_overlap(path, inputs)
        settle(journal_of(path))
        remove_leftovers(path.absolute().parent)
        self.path = path
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

    @contextmanager
    def filled(self) -> Iterator[Path]:
        """Yield a new folder that takes its place if the block succeeds, else is removed."""
        absolute = self.path.absolute()
        with appear_together(absolute) as members, members.create_folder(absolute) as new:
            yield new
            sync_tree(new, list(_files(new)))


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, files in os.walk(folder):
        for file in files:
            yield Path(parent, file)
