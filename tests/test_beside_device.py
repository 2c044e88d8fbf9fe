"""Batches on a device, with CPU cores that prepare inputs and finish results."""

from __future__ import annotations

import os
import threading

import pytest

from rsparse.errors import InputError
from rsparse.work.beside_device import overlapped, prefetched
from rsparse.work.workers import LocalWorkers
from tests.refusals import refused


class TestOverlapped:
    def test_results_come_in_order_and_work_stays_in_this_thread(self):
        here = threading.get_ident()

        def work(batch):
            assert threading.get_ident() == here
            return [-number for number in batch]

        def results(batches):
            return list(overlapped(lambda n: n + 1, work, str, batches, 3))

        assert results([[0, 1, 2], [3], [4, 5]]) == [["-1", "-2", "-3"], ["-4"], ["-5", "-6"]]
        assert results([]) == []

    def test_batches_are_drawn_as_results_are_taken(self):
        drawn = []

        def batches():
            for number in range(100):
                drawn.append(number)
                yield [number]

        results = overlapped(int, list, int, batches(), 2)
        assert next(results) == [0]
        assert len(drawn) <= 4
        results.close()

    def test_errors_arrive(self):
        def refuse(number):
            if number == 3:
                raise InputError("three: expected another number")
            return number

        for parts in ((refuse, list, int), (int, lambda b: [refuse(n) for n in b], int)):
            with refused("three: expected another number"):
                list(overlapped(*parts, [[1, 2], [3], [4]], 2))


def told_by(numbers):
    """Each number, with the id of the process that handled it."""
    return [(number, os.getpid()) for number in numbers]


class TestPrefetched:
    @pytest.mark.parametrize(("together", "sizes"), [(1, [1] * 7), (3, [3, 3, 1]), (9, [7])])
    def test_batches_are_as_large_as_asked_for_and_in_order(self, together, sizes):
        def fetched(parts):
            return list(prefetched(list, lambda some: [-n for n in some], parts, together, map))

        results = fetched([[0, 1, 2, 3], [4], [], [5, 6]])
        assert [len(batch) for batch in results] == sizes
        assert [number for batch in results for number in batch] == [0, -1, -2, -3, -4, -5, -6]
        assert fetched([]) == []

    def test_other_processes_prepare_and_this_one_works(self):
        here = os.getpid()

        def work(batch):
            assert os.getpid() == here
            return batch

        def parallel_map(function, parts):
            return LocalWorkers(2).map(function, parts, 6, in_processes=True)

        results = list(prefetched(told_by, work, [[1, 2], [3, 4], [5, 6]], 4, parallel_map))
        told = [pair for batch in results for pair in batch]
        assert [number for number, _ in told] == [1, 2, 3, 4, 5, 6]
        assert here not in {process for _, process in told}

    def test_parts_are_drawn_as_results_are_taken(self):
        drawn = []

        def parts():
            for number in range(100):
                drawn.append(number)
                yield [number]

        results = prefetched(list, list, parts(), 2, map)
        assert next(results) == [0, 1]
        assert len(drawn) == 2
        results.close()

    def test_errors_arrive(self):
        def refuse(numbers):
            if 3 in numbers:
                raise InputError("three: expected another number")
            return list(numbers)

        for load, work in ((refuse, list), (list, refuse)):
            with refused("three: expected another number"):
                list(prefetched(load, work, [[1, 2], [3], [4]], 2, map))
