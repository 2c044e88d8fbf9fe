"""One device and many cores: the cores prepare the device's batches and finish its results.

The cores run threads of the device's process (``overlapped``) or, if the prepared data are small,
separate processes (``prefetched``), each with its own interpreter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from rsparse.work.one_core import one_thread
from rsparse.work.workers import ParallelMap

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")
Output = TypeVar("Output")
Result = TypeVar("Result")


def overlapped(
    load: Callable[[Item], Loaded],
    work: Callable[[Sequence[Loaded]], Sequence[Output]],
    save: Callable[[Output], Result],
    batches: Iterable[Sequence[Item]],
    threads: int,
) -> Iterator[list[Result]]:
    """Compute the results of each batch, in order, with threads of this process.

    While the device works on a batch, the threads load the next two and save the previous one.

    Parameters
    ----------
    load, save : callable
        Functions of one item; they run in threads.
    work : callable
        Function of a batch; it runs in the thread that consumes the results.
    batches : iterable of sequences
        Consumed as results are taken.
    threads : int
    """
    with one_thread(), ThreadPoolExecutor(threads) as pool:

        def start_loading(batch: Sequence[Item]) -> list[Future[Loaded]]:
            return [pool.submit(load, item) for item in batch]

        remaining = iter(batches)
        loading = deque(start_loading(batch) for batch in islice(remaining, 2))
        saving: deque[list[Future[Result]]] = deque()
        try:
            while loading:
                loaded = [future.result() for future in loading.popleft()]
                loading.extend(start_loading(batch) for batch in islice(remaining, 1))
                saving.append([pool.submit(save, output) for output in work(loaded)])
                if len(saving) > 1:
                    yield [future.result() for future in saving.popleft()]
            for futures in saving:
                yield [future.result() for future in futures]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def prefetched(
    load: Callable[[Sequence[Item]], Sequence[Loaded]],
    work: Callable[[Sequence[Loaded]], Sequence[Result]],
    parts: Iterable[Sequence[Item]],
    batch_size: int,
    parallel_map: ParallelMap,
) -> Iterator[list[Result]]:
    """Compute the results of each batch, in order, from items that other processes load.

    Parameters
    ----------
    load : callable
        Function of several items. The function and its results must be picklable, because the
        results are sent to this process.
    work : callable
        Function of ``batch_size`` loaded items; it runs in this process.
    parts : iterable of sequences
        Items that are loaded in one call; consumed as results are taken.
    batch_size : int
    parallel_map : callable
        Maps ``load`` over the parts.
    """
    waiting: list[Loaded] = []
    with one_thread():
        for loaded in parallel_map(load, parts):
            waiting += loaded
            while len(waiting) >= batch_size:
                yield list(work(waiting[:batch_size]))
                del waiting[:batch_size]
        if waiting:
            yield list(work(waiting))
