"""Processes of this machine, for work that holds the interpreter's lock.

They serve all phases of a command, and end with it, however it ends: when their connection to it
closes, they stop at once, even in the middle of an item.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, TypeVar

from rsparse.errors import InputError, MachineError, system_error
from rsparse.work.one_core import OneCore

Item = TypeVar("Item")
Result = TypeVar("Result")

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_CAN_BLOCK = hasattr(signal, "pthread_sigmask")  # not on Windows
_ITEMS_PER_PROCESS = 3  # at most, whose results are not taken
_REAPED_AFTER = 1.0  # seconds after it was killed


def over_processes(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int, *, in_order: bool
) -> Iterator[Result]:
    """``map(function, items)`` over processes, one item at a time in each.

    Parameters
    ----------
    function : callable
        Picklable; it computes on one core.
    items : iterable
        Picklable; drawn as results are taken.
    jobs : int
        Number of processes.
    in_order : bool
        Whether results come in the order of the items; if not, as soon as they are there.

    Raises
    ------
    MachineError
        If a process is killed, or cannot be started.
    """
    _pool.start(jobs)
    try:
        _pool.learn(function)
        yield from _pool.results(iter(items), in_order)
    finally:
        if not _pool.is_idle:
            end_processes()


def end_processes() -> None:
    """End the processes of this command at once."""
    _pool.end()


class _Worker(NamedTuple):
    """A process and the connection through which it takes items and gives results."""

    process: multiprocessing.process.BaseProcess
    connection: Connection


class _Pool:
    """The processes that are running."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._busy: dict[Connection, int] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no process works on an item."""
        return not self._busy

    def start(self, jobs: int) -> None:
        """Start processes until there are so many."""
        if any(not worker.process.is_alive() for worker in self._workers):
            self.end()
        try:
            with signals_delayed():
                while len(self._workers) < jobs:
                    self._workers.append(_started())
        except OSError as error:
            self.end()
            raise system_error(error, "worker processes cannot be started") from error

    def learn(self, function: Callable[[Any], Any]) -> None:
        """Send the function to all processes, with the folder that its paths start from."""
        order = pickle.dumps((os.getcwd(), pickle.dumps(function)))
        for worker in self._workers:
            self._send(worker.connection, order)

    def results(self, items: Iterator[Any], in_order: bool) -> Iterator[Any]:
        """The results of items; a process gets the next item when it has finished one."""
        window = _ITEMS_PER_PROCESS * len(self._workers)
        idle = [worker.connection for worker in self._workers]
        ready: dict[int, Any] = {}
        drawn = taken = 0
        while True:
            for item in islice(items, min(len(idle), window - (drawn - taken))):
                connection = idle.pop()
                self._send(connection, pickle.dumps((None, pickle.dumps(item))))
                self._busy[connection] = drawn
                drawn += 1
            if taken == drawn:
                return
            number = taken if in_order else next(iter(ready), -1)
            if number in ready:
                yield ready.pop(number)
                taken += 1
                continue
            for connection in self._finished():
                ready[self._busy.pop(connection)] = self._received(connection)
                idle.append(connection)

    def _finished(self) -> list[Connection]:
        return [found for found in wait(list(self._busy)) if isinstance(found, Connection)]

    def _send(self, connection: Connection, content: bytes) -> None:
        try:
            connection.send_bytes(content)
        except OSError as error:
            raise _killed() from error

    def _received(self, connection: Connection) -> Any:
        try:
            result, error = connection.recv()
        except (EOFError, OSError) as lost:
            raise _killed() from lost
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """Kill all processes: what they work on is of no use any more."""
        workers, self._workers, self._busy = self._workers, [], {}
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join(_REAPED_AFTER)
            worker.connection.close()


_pool = _Pool()
atexit.register(end_processes)


def _killed() -> MachineError:
    return MachineError(
        "a worker process was killed, possibly for lack of memory (fewer --jobs need less)"
    )


def _started() -> _Worker:
    context = multiprocessing.get_context("spawn")
    own, other = context.Pipe()
    with other:
        process = context.Process(target=_serve, args=(other,), daemon=True)
        try:
            process.start()
        except BaseException:
            own.close()
            raise
    return _Worker(process, own)


@contextmanager
def signals_delayed() -> Iterator[None]:
    """Delay signals in this thread, and block them in the processes that it starts.

    A signal reaches all processes of a command; only the one that waits for the others handles it.
    """
    if not _CAN_BLOCK:
        yield
        return
    _start_resource_tracker()  # otherwise it unblocks signals when the first process starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_resource_tracker() -> None:
    """Start multiprocessing's own process, which would warn of semaphores if this one is killed."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


def _serve(connection: Connection) -> None:
    """Work on items until the connection closes."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if _CAN_BLOCK:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    function, work = b"", None
    while True:
        try:
            folder, content = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        if folder is not None:
            os.chdir(folder)
            function, work = content, None
            continue
        try:
            work = work or OneCore(pickle.loads(function))
            answer = pickle.dumps((work(pickle.loads(content)), None))
        except Exception as error:
            answer = _failure(error)
        connection.send_bytes(answer)


def _failure(error: Exception) -> bytes:
    """The error, to raise it again in the other process; a bug also with its traceback."""
    text = "".join(traceback.format_exception(error))
    try:
        if not isinstance(error, InputError | MachineError):
            error.add_note(f"\nIn a worker process:\n{text}")
        return pickle.dumps((None, error))
    except Exception:
        return pickle.dumps((None, RuntimeError(text)))


def _end_with_parent() -> None:
    """End this process when the one that has started it has ended, even if it was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
