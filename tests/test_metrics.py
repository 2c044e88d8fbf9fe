"""Distances and intervals, checked against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rsparse.core.metrics import (
    dissimilarity,
    l2_distance,
    linf_distance,
    share_of,
    wilson_interval,
)
from tests.refusals import refused


def constant(*values: float) -> np.ndarray:
    """Images of 2×3 pixels, each filled with one value."""
    return np.stack([np.full((2, 3, 3), value, np.float32) for value in values])


def test_distances_of_constant_images() -> None:
    x, x_adv = constant(0.5, 0.25, 1.0), constant(0.5, 0.5, 0.75)
    root = math.sqrt(18)
    np.testing.assert_allclose(l2_distance(x, x_adv), [0, 0.25 * root, 0.25 * root])
    np.testing.assert_allclose(linf_distance(x, x_adv), [0, 0.25, 0.25])
    np.testing.assert_allclose(dissimilarity(x, x_adv), [0, 1, 0.25])


def test_dissimilarity_of_black_images() -> None:
    found = dissimilarity(constant(0, 0), constant(0, 0.1))
    assert found.tolist() == [0, math.inf]


def test_dissimilarity_has_no_unit() -> None:
    rng = np.random.default_rng(0)
    x, x_adv = rng.uniform(size=(2, 4, 5, 6, 3))
    np.testing.assert_allclose(dissimilarity(255 * x, 255 * x_adv), dissimilarity(x, x_adv))


def test_distances_do_not_lose_small_changes_of_large_images() -> None:
    """In float32 the sum of a million squares would lose its last digits."""
    x = np.full((1, 600, 600, 3), 0.7, np.float32)
    x_adv = x + np.float32(1e-4)
    change = float(x_adv[0, 0, 0, 0]) - float(x[0, 0, 0, 0])
    np.testing.assert_allclose(l2_distance(x, x_adv), change * math.sqrt(x.size), rtol=1e-12)


def test_no_images() -> None:
    none = np.zeros((0, 2, 2, 3), np.float32)
    assert l2_distance(none, none).shape == linf_distance(none, none).shape == (0,)


def test_different_shapes_are_refused() -> None:
    with refused("expected images of equal shape, got (1, 2, 3, 3) and (2, 2, 3, 3)"):
        l2_distance(constant(0), constant(0, 1))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (8, 10, 0.490162, 0.943318),
        (50, 100, 0.403832, 0.596168),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_interval(successes: int, n: int, low: float, high: float) -> None:
    np.testing.assert_allclose(wilson_interval(successes, n), (low, high), atol=1e-6)


def test_wilson_interval_solves_its_equation() -> None:
    """The observed proportion lies z standard errors away from each end p."""
    z = 1.959964
    for end in wilson_interval(7, 30):
        assert abs(7 / 30 - end) == pytest.approx(z * math.sqrt(end * (1 - end) / 30), rel=1e-5)


def test_wilson_interval_is_wider_for_more_confidence() -> None:
    low, high = wilson_interval(3, 9)
    lower, higher = wilson_interval(3, 9, confidence=0.99)
    assert lower < low < high < higher


def test_impossible_counts_are_refused() -> None:
    with refused("successes: expected a number from 0 to 3, got 4"):
        wilson_interval(4, 3)
    with refused("confidence: expected a number between 0 and 1, got 95"):
        wilson_interval(1, 3, confidence=95)


def test_a_share_carries_its_interval_and_its_counts() -> None:
    share = share_of(3, 4)
    assert share.numbers == (0.75, *wilson_interval(3, 4))
    assert (share.correct, share.n) == (3, 4)


def test_a_share_of_nothing_is_not_known() -> None:
    share = share_of(0, 0)
    assert np.isnan(share.value)
    assert share.numbers[1:] == (0, 1)
