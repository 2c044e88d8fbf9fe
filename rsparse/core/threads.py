"""Settings of the whole process that several threads need at the same time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from threading import Lock


class SharedContext:
    """A context of the whole process: the first thread in it enters it, the last one leaves it.

    Contexts that save a setting and restore it, such as ``warnings.catch_warnings()``, would
    restore each other's settings if threads entered and left them one by one.

    Parameters
    ----------
    make : callable
        Returns the context to enter.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[object]]) -> None:
        self._make = make
        self._lock = Lock()
        self._inside = 0
        self._entered = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._entered.enter_context(self._make())
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._entered.close()
