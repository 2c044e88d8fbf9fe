"""Many cores: a stage passes a function and items, and the workers decide where to run them."""

from __future__ import annotations

import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

from rsparse.errors import InputError
from rsparse.work.groups import TimedGroup
from rsparse.work.one_core import one_by_one

Item = TypeVar("Item")
Result = TypeVar("Result")
Gathered = TypeVar("Gathered")

ParallelMap = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""``map`` of one argument, or an equivalent that uses threads."""


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
        in_order: bool = True,
        in_processes: bool = False,
        parallel_after: float = 0.0,
        shared_paths: Sequence[Path] = (),
    ) -> Iterator[Result]:
        """``map(function, items)``, with equal bytes anywhere.

        Items are consumed as results are taken, so memory does not grow with the length of the
        run.

        Parameters
        ----------
        function : callable
            Picklable; it computes on one core. Several threads may call it at the same time,
            unless ``in_processes`` is set.
        items : iterable
        size : int
            The number of items.
        in_order : bool
            Whether results come in the order of the items; if not, as soon as they are there.
        in_processes : bool
            Whether to use processes instead of threads: for a function that holds the
            interpreter's lock, or that changes the state of its process.
        parallel_after : float
            Seconds of work from which processes are started, estimated from the first item, if the
            user does not set their number; 0 disables the estimate.
        shared_paths : sequence of Path
            Further files and folders that the function reads or writes.

        Raises
        ------
        InputError
            If the workers cannot see the shared paths.
        MachineError
            If the workers are lost.
        """

    def map_groups(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        gather: Callable[[list[Result]], Gathered],
        shared_paths: Sequence[Path] = (),
    ) -> Iterator[Gathered]:
        """What ``gather`` makes of the results of items, group by group as they are finished.

        ``gather`` runs where the function does. On this machine, a group is one item.
        """
        step = TimedGroup(function, gather)
        groups = ([item] for item in items)
        done = self.map(step, groups, len(items), in_order=False, shared_paths=shared_paths)
        return (group.value for group in done)

    @abstractmethod
    def cores(self, size: int) -> int:
        """Cores of this machine for ``size`` pieces of work that this process does itself."""

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
    """``jobs`` threads or processes on this machine; 0 uses all its cores."""

    jobs: int = 0

    def __post_init__(self) -> None:
        if self.jobs < 0:
            raise InputError(f"jobs: expected a whole number of 0 or more, got {self.jobs}")

    def __exit__(self, *_: object) -> None:
        """End the processes, if there are any."""
        processes = sys.modules.get("rsparse.work.processes")  # imported when some are started
        if processes is not None:
            processes.end_processes()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        size: int,
        *,
        in_order: bool = True,
        in_processes: bool = False,
        parallel_after: float = 0.0,
        shared_paths: Sequence[Path] = (),  # noqa: ARG002 - all paths are on this machine
    ) -> Iterator[Result]:
        """``map(function, items)`` over threads, or over processes."""
        remaining, jobs = iter(items), self.cores(size)
        if jobs > 1 and not in_processes:
            from rsparse.work.threads import over_threads

            return over_threads(function, remaining, jobs, in_order=in_order)
        if jobs == 1:
            return one_by_one(function, remaining)
        after = parallel_after if self.jobs == 0 else 0.0
        return _in_processes(function, remaining, size, jobs, after, in_order=in_order)

    def cores(self, size: int) -> int:
        """``jobs``, or all cores for 0; at most one for each piece of work."""
        return min(self.jobs or usable_cores(), max(1, size))

    def beside_device(self) -> Workers:
        """Threads of one process, so that the GPU holds only one copy of the model."""
        return ThreadsBesideDevice(self.jobs or usable_cores())


def _in_processes(
    function: Callable[[Item], Result],
    items: Iterator[Item],
    size: int,
    jobs: int,
    after: float,
    *,
    in_order: bool,
) -> Iterator[Result]:
    """Map over processes; if ``after`` seconds are given, only if the first item shows the need."""
    from rsparse.work.processes import over_processes

    if after > 0:
        start = time.perf_counter()
        yield from one_by_one(function, islice(items, 1))
        if (time.perf_counter() - start) * (size - 1) <= after:
            yield from one_by_one(function, items)
            return
    yield from over_processes(function, items, jobs, in_order=in_order)


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
        in_order: bool = True,
        in_processes: bool = False,  # noqa: ARG002 - there is one device
        parallel_after: float = 0.0,  # noqa: ARG002
        shared_paths: Sequence[Path] = (),  # noqa: ARG002
    ) -> Iterator[Result]:
        """``map(function, items)`` over the threads."""
        from rsparse.work.threads import over_threads

        return over_threads(function, items, self.threads, in_order=in_order)

    def cores(self, size: int) -> int:  # noqa: ARG002
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


def chunked(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """``items`` in chunks of ``size``; the last one may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
