"""Randomized smoothing: bounds, radii and noise, with answers in closed form."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from rsparse.core.smoothing import (
    ABSTAIN,
    certify,
    digest_of,
    grey_levels,
    largest_radius,
    lower_bound,
    noise_block,
    one_grey_level,
    radius_of,
)

ALPHA = 0.001


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (1, 10), (9, 10), (10, 10), (993, 1000)])
@pytest.mark.parametrize("alpha", [0.001, 0.05])
def test_the_lower_bound_is_that_of_clopper_and_pearson(successes, n, alpha):
    test = binomtest(successes, n, alternative="greater")
    expected = test.proportion_ci(1 - alpha, method="exact").low
    assert lower_bound(successes, n, alpha) == pytest.approx(expected, abs=1e-12)


def test_more_successes_than_trials_are_refused():
    with pytest.raises(ValueError, match="expected 0 to 3 successes, got 4"):
        lower_bound(4, 3, ALPHA)


@pytest.mark.parametrize(
    ("n", "cap"), [(100, 0.18), (1000, 0.295), (10_000, 0.385)]
)  # measured beforehand at σ 0.12
def test_the_largest_radius_depends_on_the_number_of_samples(n, cap):
    assert largest_radius(n, 0.12, ALPHA) == pytest.approx(cap, abs=1.5e-3)
    assert largest_radius(n, 0.12, ALPHA) == pytest.approx(
        0.12 * NormalDist().inv_cdf(ALPHA ** (1 / n))
    )


def test_too_few_samples_certify_nothing():
    assert largest_radius(9, 1.0, ALPHA) == 0
    assert largest_radius(10, 1.0, ALPHA) > 0  # 0.001^(1/10) is just above one half


def test_a_constant_classifier_has_the_largest_radius():
    selection, estimate = np.array([0, 10, 0]), np.array([0, 500, 0])
    found = certify(selection, estimate, 0.25, ALPHA)
    assert (found.predicted, found.hits) == (1, 500)
    assert found.radius == largest_radius(500, 0.25, ALPHA)


def test_a_fair_coin_is_certified_no_more_often_than_alpha():
    """Exactly, over all outcomes of 1,000 tosses."""
    n = 1000
    certified = [k for k in range(n + 1) if lower_bound(k, n, ALPHA) > 0.5]
    assert 0 < binom.pmf(certified, n, 0.5).sum() <= ALPHA
    for k in (certified[0] - 1, certified[0]):
        found = certify(np.array([3, 2]), np.array([k, n - k]), 0.1, ALPHA)
        assert (found.predicted == ABSTAIN) == (k < certified[0])
        assert (found.radius == 0) == (k < certified[0])


def test_ties_of_the_selection_go_to_the_lower_class():
    assert certify(np.array([2, 5, 5]), np.array([0, 0, 50]), 0.1, ALPHA).predicted == ABSTAIN
    assert certify(np.array([2, 5, 5]), np.array([0, 50, 0]), 0.1, ALPHA).predicted == 1


@pytest.mark.parametrize("distance", [0.02, 0.1, 0.2])
def test_the_radius_of_a_linear_classifier_is_reached_from_below(distance):
    """A sample is right with Φ(distance / σ), so the exact radius is the distance."""
    rng, sigma, m = np.random.default_rng(0), 0.1, 12
    w = rng.standard_normal(m)
    w /= np.linalg.norm(w)
    x = rng.random(m)
    bias = distance - w @ x
    radii = []
    for n in (200, 2000, 20_000):
        noise = np.concatenate(
            [list(noise_block(0, "ab", 1, block, 100, (m,))) for block in range(n // 100)]
        )
        is_right = (x + sigma * noise) @ w + bias > 0
        counts = np.array([np.count_nonzero(~is_right), np.count_nonzero(is_right)])
        radii.append(certify(np.array([0, 10]), counts, sigma, ALPHA).radius)
    assert radii == sorted(radii)
    assert all(radius < distance for radius in radii)
    assert radii[-1] > distance - 0.01


def test_no_attack_within_the_radius_flips_the_smoothed_answer():
    """A ball as decision region; the strongest change points away from its centre."""
    rng, sigma, m, n = np.random.default_rng(1), 0.3, 8, 20_000
    x = np.full(m, 0.1)

    def counts_at(place, rng):
        inside = np.linalg.norm(place + sigma * rng.standard_normal((n, m)), axis=1) < 1.3
        return np.array([np.count_nonzero(~inside), np.count_nonzero(inside)])

    found = certify(np.array([0, 10]), counts_at(x, rng), sigma, ALPHA)
    assert found.predicted == 1
    away = x / np.linalg.norm(x)
    for direction in (away, -away, *rng.standard_normal((20, m))):
        moved = x + 0.999 * found.radius * direction / np.linalg.norm(direction)
        assert counts_at(moved, rng).argmax() == 1
    far = x + 3 * away  # the certificate says nothing here, and the answer does change
    assert counts_at(far, rng).argmax() == 0


def test_grey_levels():
    assert one_grey_level((224, 224)) == pytest.approx(1.52, abs=0.005)
    assert grey_levels(one_grey_level((32, 20)), (32, 20)) == pytest.approx(1)
    x = np.zeros((5, 7, 3))
    radius = float(np.linalg.norm((x + 2 / 255) - x))
    assert grey_levels(radius, (5, 7)) == pytest.approx(2)
    assert radius_of(0.5, 1.0) == 0


def test_the_noise_depends_on_its_arguments_only():
    block = np.stack(list(noise_block(3, "12ef", 1, 7, 50, (4, 5, 3))))
    again = np.stack(list(noise_block(3, "12ef", 1, 7, 20, (4, 5, 3))))
    assert block.dtype == np.float32
    assert np.array_equal(block[:20], again)
    for other in ((4, "12ef", 1, 7), (3, "12ee", 1, 7), (3, "12ef", 0, 7), (3, "12ef", 1, 8)):
        assert not np.array_equal(next(noise_block(*other, 1, (4, 5, 3))), block[0])
    assert abs(block.mean()) < 0.05
    assert block.std() == pytest.approx(1, abs=0.05)
    assert math.isfinite(float(np.abs(block).max()))


def test_a_block_has_at_most_a_hundred_samples():
    with pytest.raises(ValueError, match="at most 100 samples, got 101"):
        next(noise_block(0, "0", 0, 0, 101, (1,)))


def test_the_digest_knows_the_shape():
    pixels = np.arange(24, dtype=np.uint8)
    digests = {digest_of(pixels.reshape(shape)) for shape in ((2, 4, 3), (4, 2, 3))}
    assert len(digests) == 2
    assert digest_of(pixels.reshape(2, 4, 3)) in digests
