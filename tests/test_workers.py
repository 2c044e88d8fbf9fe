"""Work on many cores: results in order, whatever the number of processes."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import threadpoolctl

from rsparse.core.threads import SharedContext
from rsparse.work import processes
from rsparse.work.cluster import Cluster
from rsparse.work.one_core import one_thread
from rsparse.work.workers import LocalWorkers, ThreadsBesideDevice, chunked, usable_cores
from tests.refusals import fails, refused
from tests.worker_tasks import die, folder_and_threads, pid_after, refuse_seven, square, wait_for

KEPT: list[np.ndarray] = []


class InProcesses(LocalWorkers):
    """Workers that always use processes."""

    def map(self, function, items, size, **options):
        return super().map(function, items, size, **{"in_processes": True, **options})


WORKERS = pytest.mark.parametrize(
    "workers",
    [LocalWorkers(1), LocalWorkers(2), InProcesses(2), ThreadsBesideDevice(2)],
    ids=["one", "threads", "processes", "beside-device"],
)


@WORKERS
def test_results_come_in_order(workers):
    assert list(workers.map(square, iter(range(50)), 50)) == [n * n for n in range(50)]
    assert list(workers.map(square, [], 0)) == []


@WORKERS
def test_results_come_as_they_are_finished(workers):
    delays = [0.3, 0, 0, 0]
    results = list(workers.map(pid_after, delays, 4, in_order=False))
    assert len(results) == 4
    late = list(workers.map(wait_for, delays, 4, in_order=False))
    assert late == (delays if workers == LocalWorkers(1) else sorted(delays))
    assert sorted(workers.map_groups(square, [3, 1, 2], sum)) == [1, 4, 9]


@WORKERS
def test_the_parts_of_an_item_come_in_order(workers):
    with workers.map_of_parts() as map_parts:
        assert list(map_parts(square, range(9))) == [n * n for n in range(9)]


def test_only_where_there_are_threads_the_parts_of_an_item_are_mapped_over_threads():
    def where(_):
        return threading.get_ident()

    with LocalWorkers(2).map_of_parts() as map_parts:
        assert set(map_parts(where, range(3))) == {threading.get_ident()}
    with ThreadsBesideDevice(2).map_of_parts() as map_parts:
        assert threading.get_ident() not in set(map_parts(where, range(3)))


@WORKERS
def test_errors_of_the_function_arrive(workers):
    results = workers.map(refuse_seven, range(20), 20)
    with refused("seven: expected another number"):
        list(results)


@WORKERS
def test_items_are_drawn_as_results_are_taken_and_the_rest_can_be_dropped(workers):
    drawn = []

    def items():
        for number in range(1000):
            drawn.append(number)
            yield number

    results = workers.map(square, items(), 1000)
    assert next(results) == 0
    assert len(drawn) <= 6
    assert next(results) == 1
    time.sleep(0.2)  # workers that finish now draw no more items
    assert len(drawn) <= 7
    results.close()
    assert len(drawn) <= 7


def test_workers_see_the_folder_of_each_run_and_one_thread(tmp_path: Path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        for workers in (LocalWorkers(2), InProcesses(2)):
            seen = set(workers.map(folder_and_threads, range(6), 6))
            assert seen == {(str(tmp_path / name), 1)}


def grow(_: int) -> int:
    """Hold 400 MB of memory."""
    KEPT.append(np.ones(50_000_000))
    return os.getpid()


def test_processes_stay_for_the_next_phase_however_large_they_are():
    with InProcesses(2) as workers:
        pids = set(workers.map(grow, range(2), 2))
        assert set(workers.map(pid_after, [0.1, 0.1], 2)) == pids
        assert len(pids) == 2
        assert all(is_alive(pid) for pid in pids)
    assert not any(is_alive(pid) for pid in pids)


def test_processes_end_if_their_results_are_not_wanted_any_more():
    workers = InProcesses(2)
    results = workers.map(pid_after, [0, 60, 60], 3)
    pid = next(results)
    start = time.monotonic()
    results.close()
    assert not is_alive(pid)
    assert time.monotonic() - start < 2
    assert list(workers.map(square, range(3), 3)) == [0, 1, 4]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_error_in_a_process_tells_where_it_was_raised():
    with pytest.raises(ZeroDivisionError) as caught:
        list(InProcesses(2).map(divide_by, [1, 0], 2))
    assert "in divide_by" in caught.value.__notes__[0]


def divide_by(number: int) -> float:
    return 1 / number


class Unpicklable:
    """A function that cannot be unpickled in another process."""

    def __call__(self, item: int) -> int:
        return item

    def __reduce__(self):
        return refuse_seven, (7,)


def test_a_function_that_a_process_cannot_read_is_told():
    with refused("seven: expected another number"):
        list(InProcesses(2).map(Unpicklable(), range(3), 3))


def test_a_killed_process_is_told():
    with fails("a worker process was killed, possibly for lack of memory (fewer --jobs need less)"):
        list(InProcesses(2).map(die, range(4), 4))
    assert list(InProcesses(2).map(square, range(4), 4)) == [0, 1, 4, 9]


def test_processes_that_cannot_be_started_are_told(monkeypatch):
    def refuse(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    processes.end_processes()
    monkeypatch.setattr(processes, "_started", refuse)
    with fails("worker processes cannot be started: too many open files"):
        list(InProcesses(2).map(square, range(4), 4))


def test_the_number_of_cores():
    assert LocalWorkers().cores(1000) == usable_cores() >= 1
    assert LocalWorkers().cores(1) == 1
    assert LocalWorkers(8).cores(3) == 3
    assert LocalWorkers(8).cores(0) == 1
    assert LocalWorkers(2).cores(100) == 2
    assert LocalWorkers(8).beside_device() == ThreadsBesideDevice(8)
    assert LocalWorkers().beside_device() == ThreadsBesideDevice(usable_cores())
    assert ThreadsBesideDevice(8).cores(100) == 1
    with refused("jobs: expected a whole number of 0 or more, got -1"):
        LocalWorkers(-1)


def test_a_device_can_be_shared_by_the_workers_of_this_machine_alone():
    assert LocalWorkers(2).can_share_device
    assert ThreadsBesideDevice(2).can_share_device
    assert not Cluster("local:2").can_share_device


def test_processes_are_started_where_the_first_item_shows_that_they_pay():
    workers = InProcesses()
    pids = list(workers.map(pid_after, [0.1, 0, 0], 3, parallel_after=9))
    assert set(pids) == {os.getpid()}
    pids = list(workers.map(pid_after, [0.1, 0, 0], 3, parallel_after=0.15))
    assert pids[0] == os.getpid()
    assert (pids[1] == os.getpid()) == (usable_cores() == 1)


def test_threads_leave_a_shared_context_together():
    """Otherwise each would restore what it found, and the last could restore another's setting."""
    log = []

    @contextmanager
    def logged():
        log.append("entered")
        yield
        log.append("left")

    shared, both_inside = SharedContext(logged), threading.Barrier(2)

    def enter():
        with shared:
            both_inside.wait(10)

    threads = [threading.Thread(target=enter) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log == ["entered", "left"]


def test_the_limit_of_threads_is_lifted_by_the_last_one_that_needs_it():
    before, inside, leave = cv2.getNumThreads(), threading.Event(), threading.Event()

    def limited():
        with one_thread():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=limited)
    with one_thread():
        thread.start()
        inside.wait(10)
    assert cv2.getNumThreads() == 1
    leave.set()
    thread.join()
    assert cv2.getNumThreads() == before


def test_threads_are_given_back():
    before = cv2.getNumThreads()
    with one_thread():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == before


@pytest.mark.parametrize(("n", "sizes"), [(0, []), (1, [1]), (4, [4]), (9, [4, 4, 1])])
def test_chunks(n, sizes):
    chunks = list(chunked(range(n), 4))
    assert [len(chunk) for chunk in chunks] == sizes
    assert [number for chunk in chunks for number in chunk] == list(range(n))


def test_one_thread_looks_for_libraries_only_after_imports(monkeypatch):
    """The search is slower than preparing an image; later imports are limited too."""
    found = []

    class Counting(threadpoolctl.ThreadpoolController):
        def __init__(self) -> None:
            super().__init__()
            found.append(self)

    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", Counting)
    monkeypatch.setitem(sys.modules, "imported_now", sys)
    for _ in range(3):
        with one_thread():
            assert {pool["num_threads"] for pool in found[0].info()} == {1}
    before = len(found)
    monkeypatch.setitem(sys.modules, "imported_later", sys)
    with one_thread():
        pass
    assert before == 1
    assert len(found) == 2


FAULTS_OF_AN_ITEM = """
import resource
import numpy as np
from rsparse.work.one_core import one_thread

def faults_of_an_item():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(700_000, np.uint8) for _ in range(12)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with one_thread():
    faults_of_an_item()
    print(sum(faults_of_an_item() for _ in range(10)))
"""


@pytest.mark.skipif("glibc" not in platform.libc_ver()[0], reason="other libraries adapt otherwise")
def test_memory_that_an_item_has_freed_serves_the_next_one():
    """Without, each of these items asks the system for 2,000 pages again."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS_OF_AN_ITEM], capture_output=True, check=True
    )
    assert int(done.stdout) < 1_000
