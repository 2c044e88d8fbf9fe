"""Groups of short items, so large that handing them out costs little of the time of their work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Gathered = TypeVar("Gathered")

_SECONDS = 1.0  # of work in a group
_GROUPS_PER_SECOND = 200  # that the client hands out at most; with more workers, groups are larger
_GROWTH = 4  # at most, from one group to the next
_LAST_GROUPS = 2  # that each worker gets of what is left, so that all finish together


class GroupSizes(Generic[Item]):
    """Groups of items, in order; their size follows from the time that earlier ones took.

    Parameters
    ----------
    items : sequence
    n_workers : callable
        Returns the current number of workers.
    """

    def __init__(self, items: Sequence[Item], n_workers: Callable[[], int]) -> None:
        self._items = items
        self._n_workers = n_workers
        self._size = 1

    def __iter__(self) -> Iterator[Sequence[Item]]:
        start, end = 0, len(self._items)
        while start < end:
            share = -(-(end - start) // (_LAST_GROUPS * max(1, self._n_workers())))
            group = self._items[start : start + min(self._size, share)]
            yield group
            start += len(group)

    def learn(self, items: int, seconds: float) -> None:
        """Note how long a group took; one slow group, such as a worker's first, counts little."""
        aim = max(_SECONDS, self._n_workers() / _GROUPS_PER_SECOND)
        wanted = round(items * aim / max(seconds, 1e-6))
        wanted = min(wanted, _GROWTH * items)
        self._size = max(1, wanted, self._size // 2)


@dataclass(frozen=True)
class TimedResult:
    """What was gathered from a group, its number of items, and the seconds of work."""

    value: Any
    items: int
    seconds: float


@dataclass(frozen=True)
class TimedGroup:
    """Applies a function to each item of a group and gathers the results."""

    function: Callable[[Any], Any]
    gather: Callable[[list[Any]], Any]

    def __call__(self, items: Sequence[Any]) -> TimedResult:
        start = time.perf_counter()
        value = self.gather([self.function(item) for item in items])
        return TimedResult(value, len(items), time.perf_counter() - start)
