"""Folders of several artifacts, such as an evaluation, which one run writes at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsparse.errors import InputError, system_error
from rsparse.store.folders import JOURNAL, is_finished
from rsparse.store.pending import remove_leftovers_below, settle


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Lock a folder of several artifacts for this run, and clean up after a killed one.

    The folder is created; if it is empty at the end of the block, it is removed. On a file system
    that cannot lock folders, there is no lock and no cleanup.

    Raises
    ------
    InputError
        If another run is writing it now, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise system_error(error, f"{folder}: cannot be written") from error
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _settle_all(folder)
        remove_leftovers_below(folder)
    except BlockingIOError as error:
        os.close(place)
        raise InputError(f"{folder}: is being written by another run") from error
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(place)
        try:
            folder.rmdir()
        except OSError:
            pass  # not empty


def _settle_all(folder: Path) -> None:
    """Finish all artifacts below a folder, and remove what is left beside finished ones."""
    for journal in folder.rglob(f"*{JOURNAL}"):
        settle(journal)
        if journal.name == JOURNAL:
            is_finished(journal.parent)
