"""Total variation compared with scikit-image's, and as the minimum of its objective."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from skimage.restoration import denoise_tv_bregman

from rsparse.core.engines.cpu import loops
from rsparse.core.variation import least_variation
from tests.conftest import make_picture

WEIGHT = 0.03


@pytest.fixture
def half() -> np.ndarray:
    return np.random.default_rng(1).random((48, 56, 3)) < 0.5


def test_away_from_the_border_it_is_scikit_images_where_everything_is_known():
    picture = make_picture(0, 80, 90)
    theirs = denoise_tv_bregman(
        picture / 255, 1 / WEIGHT, max_num_iter=1000, eps=1e-9, channel_axis=-1
    )
    ours = least_variation(picture, WEIGHT, 1000, tolerance=0)
    assert np.abs(ours - 255 * theirs)[20:-20, 20:-20].max() <= 1


def rounded_off(lengths: np.ndarray, coupling: float) -> np.ndarray:
    """φ of ``numpy_loops.smooth``; its slope is s μ / (s μ + 1) at length s² μ / (s μ + 1)."""
    scaled = coupling * lengths
    tau = 1 + (scaled + np.sqrt(scaled**2 + 4 * scaled)) / 2
    return (tau - np.log(tau) + 1 / tau - 1 / (2 * tau**2) - 1.5) / coupling


def objective(z: np.ndarray, known: np.ndarray, fidelity: np.ndarray) -> float:
    z = z.reshape(known.shape)
    right, down = (np.diff(z, axis=axis, append=z.take([-1], axis)) for axis in (1, 0))
    penalty = rounded_off(np.hypot(right, down), 2 * fidelity.max())
    return float((fidelity * (z - known) ** 2).sum() / 2 + penalty.sum())


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_no_other_image_has_a_lower_objective(each_engine, share):
    rng = np.random.default_rng(0)
    known = (make_picture(5, 9, 11)[:, :, 0] / 255).astype(np.float32)
    fidelity = ((rng.random(known.shape) <= share) / WEIGHT).astype(np.float32)
    u = np.pad(known, 1, mode="edge")
    loops.fastest.smooth(u, known, fidelity, 0, 3000)
    exact, weights = known.astype(float), fidelity.astype(float)
    found = objective(u[1:-1, 1:-1].astype(float), exact, weights)
    for start in (exact, u[1:-1, 1:-1].astype(float)):
        other = minimize(objective, start.ravel(), (exact, weights), "L-BFGS-B",
                         options={"maxfun": 20_000})  # fmt: skip
        assert found <= other.fun + 1e-3 * abs(other.fun)


def test_the_engines_agree(half, monkeypatch):
    picture = make_picture(2)
    compiled = least_variation(picture, WEIGHT, 40, half).astype(int)
    monkeypatch.setattr(loops, "fastest", loops.NUMPY)
    assert np.abs(least_variation(picture, WEIGHT, 40, half) - compiled).max() <= 1


def test_what_is_dropped_has_no_influence(half):
    picture = make_picture(2)
    other = np.where(half, picture, 255 - picture)
    np.testing.assert_array_equal(
        least_variation(picture, WEIGHT, 50, half), least_variation(other, WEIGHT, 50, half)
    )


def test_a_constant_image_is_kept_and_filled_in(half):
    constant = np.full((48, 56, 3), 77, np.uint8)
    np.testing.assert_array_equal(least_variation(constant, WEIGHT, 100, half), constant)


def test_more_weight_leaves_less_variation():
    def variation(image):
        return sum(np.abs(np.diff(image.astype(float), axis=axis)).sum() for axis in (0, 1))

    picture = make_picture(1)
    left = [variation(least_variation(picture, weight, 100)) for weight in (0.001, 0.03, 0.3)]
    assert variation(picture) > left[0] > left[1] > left[2]


def test_nothing_known_gives_grey():
    nothing = np.zeros((48, 56, 3), bool)
    assert set(least_variation(make_picture(0), WEIGHT, 10, nothing).ravel()) <= {127, 128}
