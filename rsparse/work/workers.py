"""Many cores: a stage passes a function and items, and the workers decide where to run them."""

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

from rsparse.errors import InputError, MachineError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")

ParallelMap = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""``map`` of one argument, or an equivalent that uses threads."""

_ITEMS_PER_PROCESS = 3  # submitted at a time: one running, others waiting so that none is idle
_IDLE = 600  # seconds until a process without work ends


class Workers(ABC):
    """Workers for many images; a stage maps a function over them.

    Use them in a ``with`` block, because some workers must be connected first and released at the
    end.
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
        """``map(function, items)``: results in the order of the items, with equal bytes anywhere.

        Items are consumed as results are taken, so memory does not grow with the length of the
        run.

        Parameters
        ----------
        function : callable
            Picklable; it computes on one core.
        items : iterable
        size : int
            Total number of images in all items.
        parallel_from : int
            Number of images from which processes are started, if the user does not set their
            number.
        parallel_after : float
            Seconds of work from which processes are started, estimated from the first item; 0
            disables the estimate.
        shared_paths : sequence of Path
            Further files and folders that the function reads or writes.

        Raises
        ------
        InputError
            If the workers cannot see the shared paths.
        MachineError
            If the workers are lost.
        """

    @abstractmethod
    def cores(self, size: int, parallel_from: int = 32) -> int:
        """Cores of this machine for work on ``size`` images that this process does itself."""

    @property
    def can_share_device(self) -> bool:
        """Whether the workers are on this machine, so that its GPU can work with them."""
        return True

    def beside_device(self) -> Workers:
        """The workers to use when a machine's GPU does the work."""
        return self

    def map_of_parts(self) -> AbstractContextManager[ParallelMap]:
        """A ``map`` for the parts of one item; plain ``map`` if every core has its own item."""
        return nullcontext(map)


@dataclass(frozen=True)
class LocalWorkers(Workers):
    """``jobs`` processes on this machine; 0 uses all its cores if the work is large enough."""

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
        shared_paths: Sequence[Path] = (),  # noqa: ARG002 - all paths are on this machine
    ) -> Iterator[Result]:
        """``map(function, items)`` over processes; ``MachineError`` if one is killed."""
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
        """``jobs``; for 0, all cores if ``size`` images are enough to start processes for."""
        if self.jobs == 0:
            return usable_cores() if size >= parallel_from else 1
        return min(self.jobs, max(1, size))

    def beside_device(self) -> Workers:
        """Threads of one process, so that the GPU holds only one copy of the model."""
        return ThreadsBesideDevice(self.jobs or usable_cores())


@dataclass(frozen=True)
class ThreadsBesideDevice(Workers):
    """``threads`` of this process: while one of them uses the device, the others read and write.

    The function itself must ensure that only one thread uses the device at a time.
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
        """``map(function, items)`` over the threads."""
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
        """One, because the device does the computing."""
        return 1

    @contextmanager
    def map_of_parts(self) -> Iterator[ParallelMap]:
        """A separate thread pool, because items are large and may be fewer than the threads."""
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
    first = islice(remaining, _ITEMS_PER_PROCESS * jobs)
    waiting = deque(executor.submit(work, item) for item in first)
    try:
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(executor.submit(work, item) for item in islice(remaining, 1))
    except TerminatedWorkerError as error:
        raise MachineError(
            "a worker process was killed, possibly for lack of memory (fewer --jobs need less)"
        ) from error
    finally:
        for future in waiting:
            future.cancel()


def _set_up_worker() -> None:
    """Ignore Ctrl-C, and keep loky from ending a large process.

    Ctrl-C reaches all processes of a command; only the one that waits for the workers handles it.
    If psutil is installed, loky treats a process that has grown by 300 MB, which importing torch
    can cause, as leaking memory, and ends it with a warning.
    """
    from joblib.externals.loky import process_executor

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process_executor._USE_PSUTIL = False


@dataclass(frozen=True)
class OneCore(Generic[Item, Result]):
    """Calls ``function`` in ``folder``, with the numeric libraries limited to one thread."""

    function: Callable[[Item], Result]
    folder: str | None = None

    def __call__(self, item: Item) -> Result:
        if self.folder is not None:
            os.chdir(self.folder)  # an earlier run may have started the worker in another folder
        with one_thread():
            return self.function(item)


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS and OpenCV to one thread, so that sums have the same order everywhere."""
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
    """The thread pools of this process; searched again after further modules are imported."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def chunked(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """``items`` in chunks of ``size``; the last one may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
