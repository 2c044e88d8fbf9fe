"""One function on the workers of a Dask cluster: submit its items, and collect the results."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from rsparse.errors import InputError, MachineError
from rsparse.work.remote import Refusal, RunContext, unchanged, work

if TYPE_CHECKING:
    from distributed import Client, Future

_RETRIES = 2


class ClusterRun:
    """Submits the items of one function to the workers and collects the results.

    Parameters
    ----------
    address : str
        Of the cluster, for messages.
    client : Client
    function : callable
    context : RunContext
    window : callable
        Returns how many items may be submitted whose results are not yet taken.
    """

    def __init__(
        self,
        address: str,
        client: Client,
        function: Any,
        context: RunContext,
        window: Callable[[], int],
    ) -> None:
        from distributed import as_completed

        self._address, self._client, self._window = address, client, window
        self._context = pickle.dumps(context)
        self._name = f"rsparse-{uuid4().hex}"
        self._function = client.submit(
            unchanged, pickle.dumps(function), key=f"{self._name}-function"
        )
        self._completed = as_completed(loop=client.loop)
        self._numbers: dict[Future, int] = {}

    def results(self, items: Iterator[Any], in_order: bool) -> Iterator[Any]:
        """The results of the items; a bounded number is submitted at a time."""
        ready: dict[int, Any] = {}
        drawn = taken = 0
        while True:
            new = list(islice(items, max(0, self._window() - (drawn - taken))))
            self._submit(new, drawn)
            drawn += len(new)
            if taken == drawn:
                return
            number = taken if in_order else next(iter(ready), -1)
            if number in ready:
                yield ready.pop(number)
                taken += 1
                continue
            ready |= self._finished()

    def _submit(self, items: list[Any], first: int) -> None:
        """Submit items, which is much cheaper together than one by one."""
        if not items:
            return
        keys = [(self._name, number) for number in range(first, first + len(items))]
        futures = self._client.map(
            work,
            [pickle.dumps(item) for item in items],
            key=keys,
            retries=_RETRIES,
            function=self._function,
            context=self._context,
        )
        self._numbers.update(zip(futures, range(first, first + len(items)), strict=True))
        self._completed.update(futures)

    def _finished(self) -> dict[int, Any]:
        """Wait for results, and return those that are there by their items' numbers."""
        futures = self._completed.next_batch()
        numbers = [self._numbers.pop(future) for future in futures]
        for future in futures:
            if future.status != "finished":
                self._raise_failure(future)
        results = self._client.gather(futures)
        for result in results:
            if isinstance(result, Refusal):
                raise InputError(result.message)
        return dict(zip(numbers, results, strict=True))

    def _raise_failure(self, future: Future) -> None:
        from distributed import KilledWorker

        if future.status != "error":
            raise lost_scheduler(self._address)
        error = future.exception()
        if isinstance(error, KilledWorker):
            raise MachineError(
                f"{self._address}: workers were killed repeatedly on the same images, "
                "possibly for lack of memory"
            )
        raise error.with_traceback(future.traceback())

    def cancel(self) -> None:
        """Cancel the submitted items; running ones finish, but their results are ignored."""
        if self._client.status == "running" and self._numbers:
            self._client.cancel(list(self._numbers))


def lost_scheduler(address: str) -> MachineError:
    """The error for a scheduler that no longer answers."""
    return MachineError(f"{address}: the scheduler no longer answers")
