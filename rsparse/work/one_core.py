"""Compute on one core, with equal sums everywhere, however many cores libraries would take."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")

_LARGEST_BLOCK = (32 << 20) - (64 << 10)  # bytes, a little below glibc's own limit


@dataclass(frozen=True)
class OneCore(Generic[Item, Result]):
    """Calls ``function`` with the numeric libraries limited to one thread."""

    function: Callable[[Item], Result]

    def __call__(self, item: Item) -> Result:
        with one_thread():
            return self.function(item)


def one_by_one(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """``map(function, items)`` in this thread."""
    work = OneCore(function)
    with one_thread():
        for item in items:
            yield work(item)


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS and OpenCV to one thread, so that sums have the same order everywhere.

    The limits apply to the whole process. Several threads may use this context at the same time:
    the last one to leave it restores the former limits.
    """
    _limits.enter()
    try:
        yield
    finally:
        _limits.leave()


class _Limits:
    """The limits of this process, and how many callers need them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._callers = 0
        self._imported = 0
        self._former = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if self._callers == 0:
                _let_freed_memory_stay()
                self._former.enter_context(_one_opencv_thread())
            if self._callers == 0 or self._imported != len(sys.modules):
                self._imported = len(sys.modules)
                self._former.enter_context(_thread_pools(self._imported).limit(limits=1))
            self._callers += 1

    def leave(self) -> None:
        with self._lock:
            self._callers -= 1
            if self._callers == 0:
                self._former.close()


_limits = _Limits()


def _let_freed_memory_stay() -> None:
    """Make the C library keep some tens of MB of freed memory for the next item.

    The usual one of Linux returns freed memory to the system beyond twice the largest block that
    was ever freed, up to ``_LARGEST_BLOCK``. Arrays of most images are smaller, and their memory
    would be fetched from the system and zeroed again for each image. The block here is never
    touched, so it takes no memory itself.
    """
    with suppress(MemoryError):  # where a limit forbids it, everything works without
        bytes(_LARGEST_BLOCK)


def limit_this_thread() -> None:
    """Limit a new thread that will only use ``one_thread``: OpenMP keeps a limit for each thread.

    The limit holds until the thread ends.
    """
    _thread_pools(len(sys.modules)).limit(limits=1, user_api="openmp")


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


@lru_cache(maxsize=1)
def _thread_pools(imported: int) -> ThreadpoolController:  # noqa: ARG001
    """The thread pools of this process; searched again after further modules are imported."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
