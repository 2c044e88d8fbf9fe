"""Many cores: results in order, whatever the number of processes."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import threadpoolctl

from rsparse.errors import InputError
from rsparse.work.cluster import Cluster
from rsparse.work.workers import (
    LocalWorkers,
    ThreadsBesideDevice,
    chunked,
    one_thread,
    usable_cores,
)
from tests.refusals import fails, refused

KEPT: list[np.ndarray] = []


def square(number: int) -> int:
    return number * number


def folder_and_threads(_: int) -> tuple[str, int]:
    return os.getcwd(), cv2.getNumThreads()


def refuse_seven(number: int) -> int:
    if number == 7:
        raise InputError("seven: expected another number")
    return number


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def die(number: int) -> None:
    os.kill(os.getpid(), 9)


WORKERS = pytest.mark.parametrize(
    "workers", [LocalWorkers(1), LocalWorkers(2), ThreadsBesideDevice(2)]
)


@WORKERS
def test_results_come_in_order(workers):
    assert list(workers.map(square, iter(range(50)), 50)) == [n * n for n in range(50)]
    assert list(workers.map(square, [], 0)) == []


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
    time.sleep(0.2)  # workers done meanwhile draw no further ones
    assert len(drawn) <= 7
    results.close()
    assert len(drawn) <= 7


def test_workers_see_the_folder_of_each_run_and_one_thread(tmp_path: Path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        seen = set(LocalWorkers(2).map(folder_and_threads, range(6), 6))
        assert seen == {(str(tmp_path / name), 1)}


def grow(_: int) -> int:
    """Keep 400 MB, and wait long enough for loky to look at that once more."""
    KEPT.append(np.ones(50_000_000))
    time.sleep(1.2)
    return os.getpid()


def test_a_worker_that_has_grown_goes_on():
    workers = set(LocalWorkers(2).map(grow, range(4), 4))
    assert len(workers) <= 2
    assert list(LocalWorkers(2).map(square, range(4), 4)) == [0, 1, 4, 9]


def test_a_killed_worker_is_told():
    with fails("a worker process was killed, possibly for lack of memory (fewer --jobs need less)"):
        list(LocalWorkers(2).map(die, range(4), 4))


def test_the_number_of_processes():
    assert LocalWorkers().cores(31) == 1
    assert LocalWorkers().cores(32) == usable_cores() >= 1
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
    pids = list(LocalWorkers().map(pid_after, [0.1, 0, 0], 3, parallel_from=0, parallel_after=9))
    assert set(pids) == {os.getpid()}
    pids = list(LocalWorkers().map(pid_after, [0.1, 0, 0], 3, parallel_from=0, parallel_after=0.15))
    assert pids[0] == os.getpid()
    assert (pids[1] == os.getpid()) == (usable_cores() == 1)


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
    """It takes longer than to prepare an image; what is imported later is held too."""
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
