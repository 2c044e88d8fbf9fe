"""Folders of several artifacts, such as an evaluation, which one run writes at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsparse.errors import InputError, system_error
from rsparse.store.descriptors import is_at, try_lock
from rsparse.store.folders import JOURNAL, is_finished
from rsparse.store.pending import remove_leftovers_below, settle


@contextmanager
def sole_writer(folder: Path, output: Path | None = None) -> Iterator[None]:
    """Lock a folder of several artifacts for this run, and clean up after a killed one.

    The folder is created; if it is empty at the end of the block, it is removed. On a file system
    that cannot lock folders, there is no lock and no cleanup. Messages name ``output``, to which
    the folder belongs; by default, the folder itself.

    Raises
    ------
    InputError
        If another run is writing it now, or it cannot be written.
    """
    place, is_free = _locked(folder, output or folder)
    try:
        if is_free:
            _clean_up(folder)
        yield
    finally:
        try:
            folder.rmdir()
        except OSError:
            pass  # not empty
        os.close(place)


def _locked(folder: Path, output: Path) -> tuple[int, bool | None]:
    """The open folder, and whether it could be locked; None if the file system has no locks."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            place = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise system_error(error, f"{output}: cannot be written") from error
        is_free = try_lock(place)
        if is_free is not False and is_at(place, folder):
            return place, is_free
        os.close(place)
        if is_free is False:
            raise InputError(f"{output}: is being written by another run")


def _clean_up(folder: Path) -> None:
    """Finish all artifacts below a folder, and remove what killed runs left, as far as possible."""
    try:
        _settle_all(folder)
        remove_leftovers_below(folder)
    except OSError:
        pass  # reported when the artifacts are written


def _settle_all(folder: Path) -> None:
    """Finish all artifacts below a folder, and remove what is left beside finished ones."""
    for journal in folder.rglob(f"*{JOURNAL}"):
        settle(journal)
        if journal.name == JOURNAL:
            is_finished(journal.parent)
