"""Groups of short items: about a second of work each, and smaller ones at the end."""

from __future__ import annotations

from rsparse.work.groups import GroupSizes, TimedGroup


def sizes(items: int, workers: int, seconds: float) -> list[int]:
    """The sizes of groups whose items all take the same time."""
    groups = GroupSizes(range(items), lambda: workers)
    made = []
    for group in groups:
        made.append(group)
        groups.learn(len(group), len(group) * seconds)
    assert [number for group in made for number in group] == list(range(items))
    return [len(group) for group in made]


def test_groups_grow_to_a_second_of_work_and_shrink_at_the_end():
    made = sizes(10_000, 2, 0.01)
    assert made[:5] == [1, 4, 16, 64, 100]
    assert set(made[5:90]) == {100}
    assert made[90:] == sorted(made[90:], reverse=True)
    assert made[-1] == 1


def test_with_many_workers_groups_are_larger_so_that_one_client_can_serve_them():
    assert max(sizes(10_000_000, 1000, 0.01)) == 500


def test_long_items_stay_alone():
    assert set(sizes(20, 2, 3.0)) == {1}
    assert sizes(0, 2, 1.0) == []


def test_a_slow_group_halves_the_next_ones_at_most():
    groups = GroupSizes(range(10**6), lambda: 2)
    drawn = iter(groups)
    for _ in range(8):
        group = next(drawn)
        groups.learn(len(group), 0.01 * len(group))
    groups.learn(1, 5.0)  # a new worker, which imports everything first
    assert len(next(drawn)) == 50


def test_without_workers_groups_are_handed_out_for_those_to_come():
    assert sizes(3, 0, 0.1) == [1, 1, 1]


def test_what_is_gathered_is_timed():
    result = TimedGroup(abs, sum)([-1, 2, -3])
    assert (result.value, result.items) == (6, 3)
    assert 0 <= result.seconds < 1
