"""How far a task is, and how long the rest of it takes."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Measures a task by the work of its items, which is that of an image's pixels for example.

    The first item of each process is left out as soon as there are others, since processes start
    and libraries are loaded before it. Between two items the time counts down.

    Parameters
    ----------
    total, done : int
        Items, and those that were finished before.
    work : float, optional
        The work of the items that are left; by default all items are alike.
    at_once : int
        How many items are worked on at the same time.
    clock : callable
        Seconds since any moment.
    """

    def __init__(
        self,
        total: int,
        done: int = 0,
        work: float | None = None,
        at_once: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.done = total, done
        self._clock, self._before = clock, done
        self._work = work or float(total - done)
        self._mean = self._work / max(total - done, 1)
        self._worked = self._longest = 0.0
        self._start = self._from = self._last = clock()
        self._worked_from = 0.0
        self._advances, self._at_once = 0, at_once

    def advance(self, items: int = 1, work: float | None = None) -> None:
        """Count finished items and their work."""
        now = self._clock()
        self.done += items
        self._worked += items * self._mean if work is None else work
        self._advances += 1
        if self._advances > 1:
            self._longest = max(self._longest, now - self._last)
        if self._advances <= self._at_once:
            self._from, self._worked_from = now, self._worked
        self._last = now

    @property
    def share(self) -> float:
        """The finished share of the work; items of earlier runs count alike."""
        before = self._before / self.total if self.total else 1.0
        return before + (1 - before) * min(self._worked / (self._work or 1.0), 1.0)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the task is finished; None before the first item is."""
        if not self._advances:
            return None
        began, worked = self._from, self._worked - self._worked_from
        if worked <= 0:
            began, worked = self._start, self._worked
        left, waited = self._work - self._worked, self._clock() - self._last
        if left <= 0 or worked <= 0:
            return 0.0
        if waited <= self._longest:
            return max(left * (self._last - began) / worked - waited, 0.0)
        return left * (self._last + waited - began) / worked
