"""The area under the ROC curve against closed forms, and the coverage of its interval."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as roc_curve_of_sklearn

from rsparse.core.roc import area_under_roc, roc_curve


def test_all_told_apart_is_one_with_an_interval_that_has_a_width():
    area = area_under_roc(np.zeros(50), np.ones(50))
    assert (area.value, area.high) == (1.0, 1.0)
    assert 0.9 < area.low < 0.99


def test_all_equal_is_one_half():
    area = area_under_roc(np.zeros(7), np.zeros(9))
    assert area.value == 0.5
    assert area.low < 0.5 < area.high


def test_all_the_wrong_way_round_is_zero():
    area = area_under_roc(np.ones(20), np.zeros(20))
    assert (area.value, area.low) == (0.0, 0.0)
    assert area.high > 0


def test_without_images_nothing_is_known():
    area = area_under_roc(np.zeros(0), np.ones(3))
    assert np.isnan(area.value)
    assert (area.low, area.high) == (0.0, 1.0)


def test_it_equals_scikit_learns():
    rng = np.random.default_rng(0)
    clean, attacked = rng.integers(0, 9, 40).astype(float), rng.integers(2, 12, 30).astype(float)
    truth, scores = [0] * 40 + [1] * 30, np.concatenate([clean, attacked])
    assert area_under_roc(clean, attacked).value == pytest.approx(roc_auc_score(truth, scores))
    expected = roc_curve_of_sklearn(truth, scores, drop_intermediate=False)[:2]
    np.testing.assert_allclose(roc_curve(clean, attacked), expected)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_the_interval_holds_the_true_area_about_as_often_as_it_says(shift):
    from statistics import NormalDist

    rng = np.random.default_rng(3)
    true = NormalDist().cdf(shift / 2**0.5)
    areas = [area_under_roc(rng.normal(size=60), rng.normal(shift, size=40)) for _ in range(400)]
    assert np.mean([area.low <= true <= area.high for area in areas]) >= 0.92
