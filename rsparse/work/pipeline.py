"""One device and many cores: the cores prepare and finish what the device works on.

They do it in threads of the device's process (``Overlapped``) or, where what is prepared is small,
in processes of their own (``Fed``), which have an interpreter each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from rsparse.work.workers import ParallelMap, one_thread

Item = TypeVar("Item")
Ready = TypeVar("Ready")
Made = TypeVar("Made")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Overlapped(Generic[Item, Ready, Made, Result]):
    """Work in three parts, so that one device does batches while the cores do the rest.

    ``before`` and ``after`` take one item each and run in threads, ``work`` takes a batch and
    runs in the thread that asks for the results.
    """

    before: Callable[[Item], Ready]
    work: Callable[[Sequence[Ready]], Sequence[Made]]
    after: Callable[[Made], Result]
    threads: int

    def map(self, batches: Iterable[Sequence[Item]]) -> Iterator[list[Result]]:
        """The results of each batch, in order.

        While a batch is in work, the next two are made ready and the last one is finished.
        """
        with one_thread(), ThreadPoolExecutor(self.threads) as pool:
            remaining = iter(batches)
            coming = deque(self._begun(pool, batch) for batch in islice(remaining, 2))
            going: deque[list[Future[Result]]] = deque()
            try:
                while coming:
                    ready = [future.result() for future in coming.popleft()]
                    coming.extend(self._begun(pool, batch) for batch in islice(remaining, 1))
                    going.append([pool.submit(self.after, made) for made in self.work(ready)])
                    if len(going) > 1:
                        yield [future.result() for future in going.popleft()]
                for futures in going:
                    yield [future.result() for future in futures]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _begun(self, pool: ThreadPoolExecutor, batch: Sequence[Item]) -> list[Future[Ready]]:
        return [pool.submit(self.before, item) for item in batch]


@dataclass(frozen=True)
class Fed(Generic[Item, Ready, Result]):
    """Work in two parts, so that one device does batches that other processes prepare.

    ``before`` takes some items and has to be picklable, and so what it makes, which is sent to
    this process. ``work`` takes what was made of ``together`` items in a row, and runs here.
    """

    before: Callable[[Sequence[Item]], Sequence[Ready]]
    work: Callable[[Sequence[Ready]], list[Result]]
    together: int

    def map(self, spread: ParallelMap, parts: Iterable[Sequence[Item]]) -> Iterator[list[Result]]:
        """The results of each batch, in order; ``spread`` maps ``before`` over the parts."""
        ready: list[Ready] = []
        with one_thread():
            for made in spread(self.before, parts):
                ready += made
                while len(ready) >= self.together:
                    yield self.work(ready[: self.together])
                    del ready[: self.together]
            if ready:
                yield self.work(ready)
