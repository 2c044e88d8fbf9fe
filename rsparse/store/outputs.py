"""Folders that appear whole or not at all, for what is no artifact: a report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from rsparse.errors import InputError, reason
from rsparse.store.folders import refuse_overlap


class WholeFolder:
    """A folder that is filled beside its place and then renamed.

    Parameters
    ----------
    path : Path
    is_own : callable
        Whether a file, by its path below the folder, may be replaced with it.
    inputs : iterable of Path
        What is read; the output must not lie inside, nor hold one.
    overwrite : bool
        Replace the folder if all its files are ours.

    Raises
    ------
    InputError
        If the place is taken or cannot be written.
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
            raise InputError(f"{path}: cannot be written: {reason(error)}") from error
        if taken and not all(is_own(file.relative_to(path)) for file in _files(path)):
            raise InputError(f"{path}: holds other files; choose an empty or new folder")
        if taken and not overwrite:
            raise InputError(f"{path}: exists; choose another output or pass --overwrite")

    @contextmanager
    def filled(self) -> Iterator[Path]:
        """A new folder that takes the place when the block ends well, and goes if it fails."""
        absolute = self.path.absolute()
        new, old = (absolute.with_name(f".{token_hex(8)}.{os.getpid()}.tmp") for _ in range(2))
        try:
            new.mkdir(parents=True)
            yield new
            if absolute.exists():
                os.replace(absolute, old)
            os.replace(new, absolute)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {reason(error)}") from error
        finally:
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, files in os.walk(folder):
        for file in files:
            yield Path(parent, file)
