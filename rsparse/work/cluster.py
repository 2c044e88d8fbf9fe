"""Workers of a Dask cluster: the same work on machines with shared folders."""

from __future__ import annotations

import asyncio
import json
import pickle
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from rsparse.errors import InputError, MachineError
from rsparse.store.files import read_bytes
from rsparse.work.local_cluster import local_processes, silent
from rsparse.work.remote import ForEach, Refusal, RunContext, unchanged, work
from rsparse.work.workers import Item, LocalWorkers, Result, Workers, chunked

if TYPE_CHECKING:
    from distributed import Client, Future

_ITEMS_PER_WORKER = 4  # submitted at a time: one running, some waiting, some finished out of order
_MIN_WINDOW = 8
_RETRIES = 2
_COUNT_EVERY = 5.0  # seconds; workers come and go
_LOCAL = re.compile(r"local:([1-9]\d{0,3})")
_ADDRESS = re.compile(r"(?:[a-z]+://)?(?!local:)(?:\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):\d{1,5}")


class Cluster(Workers):
    """The workers of a Dask cluster, each of one thread.

    Parameters
    ----------
    address : str
        ``tcp://host:port``, a scheduler file (``.json``), or ``local:N`` for N processes on this
        machine, which end with the ``with`` block.
    timeout : float
        Seconds to wait for the scheduler.

    Raises
    ------
    InputError
        If the address has none of these forms.
    """

    def __init__(self, address: str, timeout: float = 10.0) -> None:
        self.address = address
        self._timeout = timeout
        self._local = _LOCAL.fullmatch(address)
        self._scheduler = "" if self._local else _scheduler_address(address)
        self._open = ExitStack()
        self._client: Client | None = None
        self._n_workers, self._counted = 0, float("-inf")

    def __enter__(self) -> Self:
        """Connect to the scheduler, or start the local processes.

        Raises
        ------
        InputError
            If ``distributed`` is not installed, the scheduler does not answer, or a worker has
            several threads.
        """
        try:
            import distributed  # noqa: F401 - the import sets up its loggers
        except ImportError as error:
            raise InputError("--cluster needs the extra: pip install 'rsparse[cluster]'") from error
        with ExitStack() as stack:
            stack.enter_context(silent())
            target = (
                stack.enter_context(local_processes(int(self._local[1]))) if self._local else None
            )
            self._client = stack.enter_context(self._connected(target or self._scheduler))
            self._refuse_threads()
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect from the scheduler; the local processes end."""
        self._client = None
        self._open.close()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        size: int,  # noqa: ARG002 - the cluster is already running
        *,
        in_order: bool = True,
        in_processes: bool = False,  # noqa: ARG002 - each worker is a process
        parallel_after: float = 0.0,  # noqa: ARG002
        shared_paths: Sequence[Path] = (),
    ) -> Iterator[Result]:
        """``map(function, items)`` over the workers; items of a lost worker run again elsewhere."""
        if self._client is None:
            raise ValueError("a Cluster must be used in a with block")
        context = RunContext(Path.cwd(), tuple(shared_paths))
        run = _ClusterRun(self, self._client, function, context)
        try:
            yield from run.results(iter(items), in_order)
        finally:
            run.cancel()

    def map_each(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        shared_paths: Sequence[Path] = (),
    ) -> Iterator[list[Result]]:
        """Results as soon as they are there, a few at a time."""
        groups = chunked(items, 4)
        return self.map(ForEach(function), groups, 0, in_order=False, shared_paths=shared_paths)

    def cores(self, size: int) -> int:
        """All cores of this machine; the cluster is idle meanwhile."""
        return LocalWorkers().cores(size)

    @property
    def can_share_device(self) -> bool:
        """False: the workers are on other machines."""
        return False

    def window(self) -> int:
        """How many items may be submitted whose results are not yet taken."""
        if time.monotonic() - self._counted > _COUNT_EVERY:
            assert self._client is not None
            self._n_workers, self._counted = len(self._client.nthreads()), time.monotonic()
        return max(_MIN_WINDOW, _ITEMS_PER_WORKER * self._n_workers)

    def lost_scheduler(self) -> MachineError:
        """The error for a scheduler that no longer answers."""
        return MachineError(f"{self.address}: the scheduler no longer answers")

    @contextmanager
    def _connected(self, target: Any) -> Iterator[Client]:
        from distributed import Client

        try:
            if not self._local:
                with ThreadPoolExecutor(1) as pool:  # this thread may already run an event loop
                    pool.submit(asyncio.run, _answer_of(target, self._timeout)).result()
            client = Client(target, timeout=self._timeout, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.address}: no Dask scheduler answers within {self._timeout:g} s; "
                "check the address and whether the scheduler is running"
            ) from error
        try:
            yield client
        finally:
            client.close(timeout=2)

    def _refuse_threads(self) -> None:
        assert self._client is not None
        for worker, threads in self._client.nthreads().items():
            if threads != 1:
                raise InputError(
                    f"{self.address}: worker {worker} has {threads} threads; start workers with "
                    "one thread each (--nthreads 1), and more of them (--nworkers)"
                )


class _ClusterRun:
    """Submits the items of one function to the workers and collects the results."""

    def __init__(
        self, cluster: Cluster, client: Client, function: Any, context: RunContext
    ) -> None:
        self._cluster = cluster
        self._client = client
        self._context = context
        self._name = f"rsparse-{uuid4().hex}"
        content = pickle.dumps(function)
        self._function = client.submit(unchanged, content, key=f"{self._name}-function")
        self._numbers: dict[Future, int] = {}

    def results(self, items: Iterator[Item], in_order: bool) -> Iterator[Any]:
        """The results of the items; a bounded number is submitted at a time."""
        from distributed import as_completed

        completed = as_completed(loop=self._client.loop, with_results=True, raise_errors=False)
        ready: dict[int, Any] = {}
        drawn = taken = 0
        while True:
            for item in islice(items, max(0, self._cluster.window() - (drawn - taken))):
                completed.add(self._submitted(item, drawn))
                drawn += 1
            if taken == drawn:
                return
            number = taken if in_order else next(iter(ready), -1)
            if number in ready:
                yield ready.pop(number)
                taken += 1
                continue
            future, result = next(completed)
            ready[self._numbers.pop(future)] = self._checked(future, result)

    def _submitted(self, item: Any, number: int) -> Future:
        key = (self._name, number)
        future = self._client.submit(
            work, self._function, self._context, item, key=key, retries=_RETRIES
        )
        self._numbers[future] = number
        return future

    def _checked(self, future: Future, result: Any) -> Any:
        """Return the result, or raise the error that it represents."""
        from distributed import KilledWorker

        if isinstance(result, Refusal):
            raise InputError(result.message)
        if future.status == "finished":
            return result
        if future.status != "error":
            raise self._cluster.lost_scheduler()
        _, error, trace = result
        if isinstance(error, KilledWorker):
            raise MachineError(
                f"{self._cluster.address}: workers were killed repeatedly on the same images, "
                "possibly for lack of memory"
            )
        raise error.with_traceback(trace)

    def cancel(self) -> None:
        """Cancel the submitted items; running ones finish, but their results are ignored."""
        if self._client.status == "running" and self._numbers:
            self._client.cancel(list(self._numbers))


def _scheduler_address(address: str) -> str:
    """The address of the scheduler, read from its file if ``address`` is one."""
    if address.endswith(".json"):
        content = read_bytes(Path(address))
        try:
            address = json.loads(content)["address"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{address}: is not a Dask scheduler file") from error
    if not _ADDRESS.fullmatch(address):
        raise InputError(
            "--cluster: expected an address such as tcp://host:8786, a scheduler file (.json) "
            f"or local:N, got {address!r}"
        )
    return address


async def _answer_of(address: str, timeout: float) -> None:
    """Ask the scheduler for its identity; a client would wait forever for any other server."""
    from distributed import rpc

    async with asyncio.timeout(timeout), rpc(address, timeout=timeout) as scheduler:
        await scheduler.identity()
