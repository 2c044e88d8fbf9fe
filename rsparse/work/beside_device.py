"""One device and many cores: the cores prepare and finish what the device works on.

They do it in threads of the device's process (``overlapped``) or, where what is prepared is small,
in processes of their own (``prefetched``), which have an interpreter each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from rsparse.work.workers import ParallelMap, one_thread

Item = TypeVar("Item")
Ready = TypeVar("Ready")
Made = TypeVar("Made")
Result = TypeVar("Result")


def overlapped(
    load: Callable[[Item], Ready],
    work: Callable[[Sequence[Ready]], Sequence[Made]],
    save: Callable[[Made], Result],
    batches: Iterable[Sequence[Item]],
    threads: int,
) -> Iterator[list[Result]]:
    """The results of each batch, in order, by threads of this process.

    While a batch is in work, the next two are made ready and the last one is finished.

    Parameters
    ----------
    load, save : callable
        Of one item each; they run in threads.
    work : callable
        Of a batch; it runs in the thread that asks for the results.
    batches : iterable of sequences
        Drawn as results are taken.
    threads : int
    """
    with one_thread(), ThreadPoolExecutor(threads) as pool:

        def begun(batch: Sequence[Item]) -> list[Future[Ready]]:
            return [pool.submit(load, item) for item in batch]

        remaining = iter(batches)
        coming = deque(begun(batch) for batch in islice(remaining, 2))
        going: deque[list[Future[Result]]] = deque()
        try:
            while coming:
                ready = [future.result() for future in coming.popleft()]
                coming.extend(begun(batch) for batch in islice(remaining, 1))
                going.append([pool.submit(save, made) for made in work(ready)])
                if len(going) > 1:
                    yield [future.result() for future in going.popleft()]
            for futures in going:
                yield [future.result() for future in futures]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def prefetched(
    load: Callable[[Sequence[Item]], Sequence[Ready]],
    work: Callable[[Sequence[Ready]], Sequence[Result]],
    parts: Iterable[Sequence[Item]],
    together: int,
    parallel_map: ParallelMap,
) -> Iterator[list[Result]]:
    """The results of each batch, in order, of items that other processes load.

    Parameters
    ----------
    load : callable
        Of some items; picklable, and so is what it makes, which is sent to this process.
    work : callable
        Of what was made of ``together`` items in a row; it runs here.
    parts : iterable of sequences
        What is loaded at a time; drawn as results are taken.
    together : int
    parallel_map : callable
        Maps ``load`` over the parts.
    """
    ready: list[Ready] = []
    with one_thread():
        for made in parallel_map(load, parts):
            ready += made
            while len(ready) >= together:
                yield list(work(ready[:together]))
                del ready[:together]
        if ready:
            yield list(work(ready))
