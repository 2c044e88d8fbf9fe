"""Workers of a Dask cluster: the same work on machines with shared folders."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rsparse.errors import InputError, is_out_of_memory, missing_package
from rsparse.store.files import read_bytes
from rsparse.work.cluster_run import ClusterRun
from rsparse.work.groups import GroupSizes, TimedGroup
from rsparse.work.local_cluster import local_processes, silent
from rsparse.work.remote import RunContext
from rsparse.work.workers import Gathered, Item, LocalWorkers, Result, Workers

if TYPE_CHECKING:
    from distributed import Client

_ITEMS_PER_WORKER = 3  # submitted at a time: one running, others waiting so that none is idle
_MIN_WINDOW = 8
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
            if is_out_of_memory(error):
                raise
            package = error.name or "distributed"
            raise missing_package("--cluster needs", package, "cluster") from error
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
        run = ClusterRun(self.address, self._client, function, context, self.window)
        try:
            yield from run.results(iter(items), in_order)
        finally:
            run.cancel()

    def map_groups(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        gather: Callable[[list[Result]], Gathered],
        shared_paths: Sequence[Path] = (),
    ) -> Iterator[Gathered]:
        """Groups of so many items that a worker needs about a second for each."""
        groups = GroupSizes(items, self.n_workers)
        step = TimedGroup(function, gather)
        for done in self.map(step, iter(groups), 0, in_order=False, shared_paths=shared_paths):
            groups.learn(done.items, done.seconds)
            yield done.value

    def cores(self, size: int) -> int:
        """All cores of this machine; the cluster is idle meanwhile."""
        return LocalWorkers().cores(size)

    @property
    def can_share_device(self) -> bool:
        """False: the workers are on other machines."""
        return False

    def n_workers(self) -> int:
        """How many workers there are; counted again after some seconds."""
        if time.monotonic() - self._counted > _COUNT_EVERY:
            assert self._client is not None
            self._n_workers, self._counted = len(self._client.nthreads()), time.monotonic()
        return self._n_workers

    def window(self) -> int:
        """How many items may be submitted whose results are not yet taken."""
        return max(_MIN_WINDOW, _ITEMS_PER_WORKER * self.n_workers())

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
