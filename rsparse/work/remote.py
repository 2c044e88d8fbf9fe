"""What a worker of a cluster does with an item; it imports no more than the work itself does."""

from __future__ import annotations

import pickle
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, chdir, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from rsparse import __version__
from rsparse.errors import InputError
from rsparse.work.workers import OneCore

_ALONE = Lock()  # the current folder and the numeric libraries' threads belong to the process
_DELAYS = (0.0, 0.5, 2.0)  # seconds; a network file system shows new files late


@dataclass(frozen=True)
class Refusal:
    """An ``InputError`` on its way back: as a result it is not tried again elsewhere."""

    message: str


@dataclass(frozen=True)
class Setting:
    """What holds for all items of a run: where paths start, what has to be there, and who asks."""

    folder: Path
    shared_paths: tuple[Path, ...]
    version: str = __version__


def unchanged(content: bytes) -> bytes:
    """The pickled function as a result of its own: workers hand it on, and can make it again."""
    return content


def work(content: bytes, setting: Setting, item: Any) -> Any:
    """The pickled function's result for an item, or a ``Refusal``."""
    with _ALONE, _entered(setting.folder):
        try:
            _check(setting)
            return _function(content)(item)
        except InputError as error:
            return Refusal(str(error))


def _entered(folder: Path) -> AbstractContextManager[None]:
    """Work in ``folder`` where there is one; elsewhere only absolute paths can be found."""
    return chdir(folder) if folder.is_dir() else nullcontext()


@lru_cache(maxsize=2)
def _function(content: bytes) -> Callable[[Any], Any]:
    return OneCore(pickle.loads(content))


@lru_cache(maxsize=8)
def _check(setting: Setting) -> None:
    """Refuse to work where another version runs, or the shared folders are missing."""
    here = f"worker on {platform.node()}"
    if setting.version != __version__:
        raise InputError(
            f"{here}: runs rsparse {__version__}, expected {setting.version}; "
            "install the same version everywhere"
        )
    for path in setting.shared_paths:
        if not _appears(path):
            raise InputError(
                f"{here}: cannot see {setting.folder / path}; inputs and outputs have to lie in "
                "folders that all workers share, under the same path"
            )


def _appears(path: Path) -> bool:
    for delay in _DELAYS:
        time.sleep(delay)
        if path.exists():
            return True
    return False
