"""Write folders that are not artifacts, such as reports, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rsparse.errors import InputError, system_error, write_error
from rsparse.store.folders import refuse_overlap


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
        new, old = (
            absolute.with_name(f".{os.urandom(8).hex()}.{os.getpid()}.tmp") for _ in range(2)
        )
        try:
            new.mkdir(parents=True)
            yield new
            if absolute.exists():
                os.replace(absolute, old)
            os.replace(new, absolute)
        except OSError as error:
            raise write_error(error, f"{self.path}: cannot be written") from error
        finally:
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, files in os.walk(folder):
        for file in files:
            yield Path(parent, file)
