"""Conformal p-values are valid for any data, and equal ranks in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.core.conformal import Reference


def test_one_score_gives_the_rank():
    reference = Reference(np.array([[1.0], [2.0], [3.0], [4.0]]))
    found = reference.unusualness(np.array([[0.0], [2.5], [9.0]]))
    np.testing.assert_allclose(found.p_value, [1, 3 / 5, 1 / 5])
    np.testing.assert_allclose(found.tails[:, 0], found.p_value)
    np.testing.assert_allclose(found.combined, 1 / found.p_value)


def test_an_equal_score_counts_as_at_least_as_unusual():
    found = Reference(np.array([[0.0], [0.0], [1.0]])).unusualness(np.array([[0.0]]))
    assert found.p_value.tolist() == [1.0]


def test_an_image_that_is_unusual_in_both_of_two_scores_is_more_so_than_in_one():
    reference = Reference(np.random.default_rng(0).normal(size=(99, 2)))
    found = reference.unusualness(np.array([[9.0, 9.0], [9.0, 0.0], [0.0, 0.0]]))
    assert found.p_value[0] == pytest.approx(0.01)
    assert found.p_value[0] < found.p_value[1] < found.p_value[2]


def test_one_very_unusual_score_is_enough_among_usual_ones():
    """It ranks with the clean images that are first in one of the other scores: five of 100."""
    scores = np.repeat(np.arange(99.0)[:, None], 5, axis=1)
    for column in range(5):  # so that another image is first in each score
        scores[:, column] = np.roll(scores[:, column], 20 * column)
    image = np.array([[100.0, 48.5, 48.5, 48.5, 48.5]])
    found = Reference(scores).unusualness(image)
    np.testing.assert_allclose(found.tails, [[0.01, 0.51, 0.51, 0.51, 0.51]])
    assert found.combined[0] == pytest.approx((100 + 4 / 0.51) / 5)
    assert found.p_value[0] == pytest.approx(0.05)
    nothing = Reference(scores).unusualness(np.full((1, 5), 48.5))
    assert nothing.combined[0] == pytest.approx(1 / 0.51)
    assert nothing.p_value[0] > 0.5


KINDS = {
    "independent": lambda rng: rng.normal(size=(60, 3)),
    "equal": lambda rng: np.repeat(rng.normal(size=(60, 1)), 3, axis=1),
    "opposite": lambda rng: rng.normal(size=(60, 1)) * np.array([1, -1]),
    "with ties": lambda rng: rng.integers(0, 3, (60, 2)).astype(float),
    "heavy": lambda rng: rng.standard_cauchy((60, 4)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_false_alarms_never_exceed_their_level(kind):
    """Of n + 1 images, each held out in turn, at most (n + 1)·level have a p-value below it.

    This holds for every set of images, not only on average.
    """
    scores = KINDS[kind](np.random.default_rng(1))
    held_out = np.array([
        Reference(np.delete(scores, place, axis=0)).unusualness(scores[place][None]).p_value[0]
        for place in range(len(scores))
    ])  # fmt: skip
    for level in (0.02, 0.05, 0.1, 0.5, 0.9):
        assert np.mean(held_out <= level) <= level + 1e-12


def test_the_p_value_is_the_share_of_all_images_together_by_definition():
    rng = np.random.default_rng(2)
    reference, image = rng.normal(size=(20, 3)), rng.normal(size=3)
    together = np.vstack([reference, image])
    tails = (together[None] >= together[:, None]).mean(axis=1)
    sums = (1 / tails).mean(axis=1)
    found = Reference(reference).unusualness(image[None])
    assert found.p_value[0] == pytest.approx(np.mean(sums >= sums[-1] - 1e-9))
    assert found.combined[0] == pytest.approx(sums[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_lower_scores_never_lower_the_p_value(kind):
    """So a tolerance, by which noise is divided, makes no image more suspicious."""
    rng = np.random.default_rng(3)
    scores = np.abs(KINDS[kind](rng))
    reference, images = Reference(scores[:40]), scores[40:]
    before = reference.unusualness(images).p_value
    for tolerance in (1.5, 2.0, 10.0):
        some = np.where(rng.random(images.shape) < 0.5, images / tolerance, images)
        assert (reference.unusualness(some).p_value >= before).all()
