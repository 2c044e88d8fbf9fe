"""The code that runs on a cluster's workers; it imports no more than the work itself."""

from __future__ import annotations

import pickle
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, chdir, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

from rsparse import __version__
from rsparse.errors import InputError
from rsparse.work.one_core import OneCore

_PROCESS_LOCK = Lock()  # the current folder and the thread limits apply to the whole process
_IS_COMPILED = find_spec("numba") is not None  # NumPy's loops round otherwise
_DELAYS = (0.0, 0.5, 2.0)  # seconds; new files appear late on a network file system


@dataclass(frozen=True)
class Refusal:
    """An ``InputError`` returned as a result, so that the item is not retried elsewhere."""

    message: str


@dataclass(frozen=True)
class RunContext:
    """Shared by all items of a run: the base folder of paths, the required paths, the release."""

    folder: Path
    shared_paths: tuple[Path, ...]
    version: str = __version__
    is_compiled: bool = _IS_COMPILED


def unchanged(content: bytes) -> bytes:
    """Return the pickled function, so that workers can copy it to others or compute it again."""
    return content


def work(item: bytes, function: bytes, context: bytes) -> Any:
    """The function's result for an item, or a ``Refusal``; all of them are pickled."""
    run = _context(context)
    with _PROCESS_LOCK, _in_folder(run.folder):
        try:
            _check(run)
            return _function(function)(pickle.loads(item))
        except InputError as error:
            return Refusal(str(error))


def _in_folder(folder: Path) -> AbstractContextManager[None]:
    """Work in ``folder`` if it exists on this machine; if not, only absolute paths are found."""
    return chdir(folder) if folder.is_dir() else nullcontext()


@lru_cache(maxsize=2)
def _function(content: bytes) -> Callable[[Any], Any]:
    return OneCore(pickle.loads(content))


@lru_cache(maxsize=8)
def _context(content: bytes) -> RunContext:
    context: RunContext = pickle.loads(content)
    return context


@lru_cache(maxsize=8)
def _check(context: RunContext) -> None:
    """Refuse to work with another version of rsparse or without the shared folders."""
    worker = f"worker on {platform.node()}"
    if context.version != __version__:
        raise InputError(
            f"{worker}: expected rsparse {context.version}, got {__version__}; "
            "install the same version on all machines"
        )
    if context.is_compiled != _IS_COMPILED:
        raise InputError(
            f"{worker}: numba is {'not ' * context.is_compiled}installed, unlike where the run was "
            "started; install the extra 'fast' on all machines or on none"
        )
    for path in context.shared_paths:
        if not _appears(path):
            raise InputError(
                f"{worker}: cannot see {context.folder / path}; inputs and outputs must be in "
                "folders that all workers share under the same path"
            )


def _appears(path: Path) -> bool:
    for delay in _DELAYS:
        time.sleep(delay)
        if path.exists():
            return True
    return False
