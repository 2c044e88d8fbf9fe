"""Many cores: results in order, whatever the number of processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsparse.errors import InputError
from rsparse.parallel import choose_jobs, chunked, map_ordered, one_thread, usable_cores
from tests.refusals import refused

KEPT: list[np.ndarray] = []


def square(number: int) -> int:
    return number * number


def folder_and_threads(_: int) -> tuple[str, int]:
    return os.getcwd(), cv2.getNumThreads()


def refuse_seven(number: int) -> int:
    if number == 7:
        raise InputError("seven: expected another number")
    return number


def die(number: int) -> None:
    os.kill(os.getpid(), 9)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order(jobs):
    assert list(map_ordered(square, iter(range(50)), jobs)) == [n * n for n in range(50)]
    assert list(map_ordered(square, [], jobs)) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_of_the_function_arrive(jobs):
    results = map_ordered(refuse_seven, range(20), jobs)
    with refused("seven: expected another number"):
        list(results)


@pytest.mark.parametrize("jobs", [1, 2])
def test_items_are_drawn_as_results_are_taken_and_the_rest_can_be_dropped(jobs):
    drawn = []

    def items():
        for number in range(1000):
            drawn.append(number)
            yield number

    results = map_ordered(square, items(), jobs)
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
        seen = set(map_ordered(folder_and_threads, range(6), 2))
        assert seen == {(str(tmp_path / name), 1)}


def grow(_: int) -> int:
    """Keep 400 MB, and wait long enough for loky to look at that once more."""
    KEPT.append(np.ones(50_000_000))
    time.sleep(1.2)
    return os.getpid()


def test_a_worker_that_has_grown_goes_on():
    workers = set(map_ordered(grow, range(4), 2))
    assert len(workers) <= 2
    assert list(map_ordered(square, range(4), 2)) == [0, 1, 4, 9]


def test_a_killed_worker_is_told():
    with refused(
        "a worker process was killed, perhaps for want of memory; "
        "run the same command again to go on, with fewer --jobs"
    ):
        list(map_ordered(die, range(4), 2))


def test_the_number_of_jobs():
    assert choose_jobs(0, 31) == 1
    assert choose_jobs(0, 32) == usable_cores() >= 1
    assert choose_jobs(8, 3) == 3
    assert choose_jobs(8, 0) == 1
    assert choose_jobs(2, 100) == 2
    with refused("jobs: expected a whole number of 0 or more, got -1"):
        choose_jobs(-1, 3)


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
