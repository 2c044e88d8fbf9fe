"""Many cores: the stages hand over a function and items, and do not know how it is done."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from rsparse.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 3  # items handed out a process: one in work, and some waiting so that none is idle
_IDLE = 600  # seconds until a process without work ends


def usable_cores() -> int:
    """The number of cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_jobs(jobs: int, n_items: int, pays_from: int = 32) -> int:
    """``jobs``, or for 0 all cores where ``n_items`` are enough to pay for starting processes."""
    if jobs < 0:
        raise InputError(f"jobs: expected a whole number of 0 or more, got {jobs}")
    if jobs == 0:
        return usable_cores() if n_items >= pays_from else 1
    return min(jobs, max(1, n_items))


def map_ordered(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int
) -> Iterator[Result]:
    """``map(function, items)`` over ``jobs`` processes, results in the order of the items.

    An item is drawn as a result is taken, so neither grows with the length of the run. One core a
    process: results are the same bytes for any number of jobs.

    Raises
    ------
    InputError
        If a process was killed from outside.
    """
    if jobs == 1:
        yield from map(_OneCore(function), items)
        return
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    executor = get_reusable_executor(jobs, timeout=_IDLE, initializer=_set_up_worker)
    work = _OneCore(function, os.getcwd())
    remaining = iter(items)
    waiting = deque(executor.submit(work, item) for item in islice(remaining, _AHEAD * jobs))
    try:
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(executor.submit(work, item) for item in islice(remaining, 1))
    except TerminatedWorkerError as error:
        raise InputError(
            "a worker process was killed, perhaps for want of memory; "
            "run the same command again to go on, with fewer --jobs"
        ) from error
    finally:
        for future in waiting:
            future.cancel()


def _set_up_worker() -> None:
    """Leave Ctrl-C, which reaches all processes of a command, to the one that waits for them.

    And stay: where psutil is installed, loky takes a process that has grown by 300 MB, as torch
    makes it, for leaking, and ends it with a warning.
    """
    from joblib.externals.loky import process_executor

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process_executor._USE_PSUTIL = False


@dataclass(frozen=True)
class _OneCore(Generic[Item, Result]):
    """``function`` with the numeric libraries held to one thread, and paths as in ``folder``."""

    function: Callable[[Item], Result]
    folder: str | None = None

    def __call__(self, item: Item) -> Result:
        if self.folder is not None:
            os.chdir(self.folder)  # a worker may have been started elsewhere, by an earlier run
        with one_thread():
            return self.function(item)


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS and OpenCV to one thread, so that sums are made in one order everywhere."""
    import cv2
    from threadpoolctl import threadpool_limits

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        cv2.setNumThreads(threads)


def chunked(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """``items`` in runs of ``size``, the last one perhaps shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
