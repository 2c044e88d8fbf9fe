"""Many cores: the stages hand over a function and items, and do not know how it is done."""

from __future__ import annotations

import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from rsparse.errors import InputError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")

ParallelMap = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""``map`` of one argument, or what does the same by threads."""

_AHEAD = 3  # items handed out a process: one in work, and some waiting so that none is idle
_IDLE = 600  # seconds until a process without work ends


class Workers(ABC):
    """Where the work on many images is done; stages map over it and do not know how.

    Use it in a ``with`` block: some workers have to be found first and let go at the end.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @abstractmethod
    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        size: int,
        *,
        parallel_from: int = 32,
        parallel_after: float = 0.0,
        shared_paths: Sequence[Path] = (),
    ) -> Iterator[Result]:
        """``map(function, items)``, results in the order of the items and the same bytes anywhere.

        An item is drawn as a result is taken, so neither grows with the length of the run.

        Parameters
        ----------
        function : callable
            Picklable; it computes on one core.
        items : iterable
        size : int
            How many images the items are together.
        parallel_from : int
            Images from which starting processes pays, where that is left open.
        parallel_after : float
            Seconds of work from which it pays; the first item is measured. 0 does not measure.
        shared_paths : sequence of Path
            Files and folders that the function reads or writes beside.

        Raises
        ------
        InputError
            If the workers, or what they have to see, are lost.
        """

    @abstractmethod
    def cores(self, size: int, parallel_from: int = 32) -> int:
        """Cores of this machine for work on ``size`` images that is not handed out."""

    @property
    def can_share_device(self) -> bool:
        """Whether they are at this machine, so that its GPU can work beside them."""
        return True

    def beside_device(self) -> Workers:
        """The workers for work that a machine's GPU does."""
        return self

    def map_of_parts(self) -> AbstractContextManager[ParallelMap]:
        """A ``map`` for the parts of one item: in its place, where every core has an item."""
        return nullcontext(map)


@dataclass(frozen=True)
class LocalWorkers(Workers):
    """``jobs`` processes of this machine; 0 takes all its cores where that pays."""

    jobs: int = 0

    def __post_init__(self) -> None:
        if self.jobs < 0:
            raise InputError(f"jobs: expected a whole number of 0 or more, got {self.jobs}")

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        size: int,
        *,
        parallel_from: int = 32,
        parallel_after: float = 0.0,
        shared_paths: Sequence[Path] = (),  # noqa: ARG002 - this machine sees what it sees
    ) -> Iterator[Result]:
        """``map(function, items)`` over processes; a killed one is an ``InputError``."""
        remaining, jobs = iter(items), self.cores(size, parallel_from)
        if self.jobs == 0 and parallel_after > 0:
            start = time.perf_counter()
            yield from map(OneCore(function), islice(remaining, 1))
            left = (time.perf_counter() - start) * (size - 1)
            jobs = jobs if left > parallel_after else 1
        if jobs == 1:
            yield from map(OneCore(function), remaining)
        else:
            yield from _over_processes(function, remaining, jobs)

    def cores(self, size: int, parallel_from: int = 32) -> int:
        """``jobs``, or for 0 all cores where ``size`` is enough to pay for starting processes."""
        if self.jobs == 0:
            return usable_cores() if size >= parallel_from else 1
        return min(self.jobs, max(1, size))

    def beside_device(self) -> Workers:
        """Threads of one process, which has the model on the GPU once."""
        return ThreadsBesideDevice(self.jobs or usable_cores())


@dataclass(frozen=True)
class ThreadsBesideDevice(Workers):
    """``threads`` of this process: while one of them is at the device, the others read and write.

    The function itself sees to it that only one is there at a time.
    """

    threads: int

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        size: int,  # noqa: ARG002 - threads cost nothing to start
        *,
        parallel_from: int = 32,  # noqa: ARG002
        parallel_after: float = 0.0,  # noqa: ARG002
        shared_paths: Sequence[Path] = (),  # noqa: ARG002
    ) -> Iterator[Result]:
        """``map(function, items)``, as many at a time as there are threads."""
        from concurrent.futures import ThreadPoolExecutor

        remaining = iter(items)
        with one_thread(), ThreadPoolExecutor(self.threads) as pool:
            waiting = deque(pool.submit(function, i) for i in islice(remaining, self.threads + 1))
            try:
                while waiting:
                    yield waiting.popleft().result()
                    waiting.extend(pool.submit(function, item) for item in islice(remaining, 1))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def cores(self, size: int, parallel_from: int = 32) -> int:  # noqa: ARG002
        """One: what is computed is computed on the device."""
        return 1

    @contextmanager
    def map_of_parts(self) -> Iterator[ParallelMap]:
        """Threads of their own: an item is large here, and there may be fewer than threads."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(self.threads) as pool:
            yield pool.map


def usable_cores() -> int:
    """The number of cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _over_processes(
    function: Callable[[Item], Result], remaining: Iterator[Item], jobs: int
) -> Iterator[Result]:
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    executor = get_reusable_executor(jobs, timeout=_IDLE, initializer=_set_up_worker)
    work = OneCore(function, os.getcwd())
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
class OneCore(Generic[Item, Result]):
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

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with _thread_pools(len(sys.modules)).limit(limits=1):
            yield
    finally:
        cv2.setNumThreads(threads)


@lru_cache(maxsize=1)
def _thread_pools(imported: int) -> ThreadpoolController:  # noqa: ARG001
    """The numeric libraries of this process, looked for again once more modules are imported."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def chunked(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """``items`` in runs of ``size``, the last one perhaps shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
