"""Threads of this process: results of many items, a bounded number of which is under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

from rsparse.work.one_core import OneCore, limit_this_thread, one_thread

Item = TypeVar("Item")
Result = TypeVar("Result")

_ITEMS_PER_THREAD = 3  # one running, others waiting so that no thread is idle


def over_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, *, in_order: bool
) -> Iterator[Result]:
    """``map(function, items)`` over threads, for a function that releases the interpreter's lock.

    Parameters
    ----------
    function : callable
        It computes on one core.
    items : iterable
        Drawn as results are taken.
    threads : int
    in_order : bool
        Whether results come in the order of the items; if not, as soon as they are there.
    """
    pool = ThreadPoolExecutor(threads, initializer=limit_this_thread)
    work, window = OneCore(function), _ITEMS_PER_THREAD * threads
    with one_thread():
        try:
            yield from _results(lambda item: pool.submit(work, item), items, window, in_order)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _results(
    submit: Callable[[Item], Future[Result]], items: Iterable[Item], window: int, in_order: bool
) -> Iterator[Result]:
    """Results of submitted items; at most ``window`` are submitted whose results are not taken."""
    finished: SimpleQueue[Future[Result]] = SimpleQueue()
    numbers: dict[Future[Result], int] = {}
    ready: dict[int, Future[Result]] = {}
    remaining, drawn, taken = iter(items), 0, 0
    while True:
        for item in islice(remaining, window - (drawn - taken)):
            future = submit(item)
            numbers[future] = drawn
            future.add_done_callback(finished.put)
            drawn += 1
        if taken == drawn:
            return
        number = taken if in_order else next(iter(ready), -1)
        if number in ready:
            yield ready.pop(number).result()
            taken += 1
            continue
        future = finished.get()
        ready[numbers.pop(future)] = future
