"""The wrappers of non-local means and the bilateral filter keep the order of the channels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rsparse.core.filters import bilateral
from rsparse.core.non_local import non_local_means
from tests.conftest import make_picture


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    rng = np.random.default_rng(0)
    halves = np.zeros((32, 40, 3))
    halves[:, :20] = (200, 40, 60)
    halves[:, 20:] = (30, 90, 220)
    return np.clip(halves + rng.normal(0, 6, halves.shape), 0, 255).astype(np.uint8)


def roughness(image: np.ndarray) -> float:
    return float(np.abs(np.diff(image[:, :18].astype(float), axis=1)).mean())


@pytest.mark.parametrize("smooth", [
    lambda image: non_local_means(image, 10),
    lambda image: bilateral(image, 9, 80, 80),
], ids=["non_local_means", "bilateral"])  # fmt: skip
def test_noise_goes_and_edges_and_colours_stay(noisy, smooth):
    before = noisy.copy()
    clean = smooth(noisy)
    np.testing.assert_array_equal(noisy, before)
    assert clean.shape == noisy.shape
    assert clean.dtype == np.uint8
    assert roughness(clean) < 0.7 * roughness(noisy)
    np.testing.assert_allclose(clean[:, :16].mean(axis=(0, 1)), (200, 40, 60), atol=4)
    np.testing.assert_allclose(clean[:, 24:].mean(axis=(0, 1)), (30, 90, 220), atol=4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2), (8, 8)])
def test_tiny_images_keep_their_size(shape):
    image = make_picture(0, *shape)
    assert non_local_means(image, 10).shape == image.shape
    assert bilateral(image, 99, 80, 80).shape == image.shape


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_grey_stays(level):
    flat = np.full((24, 24, 3), level, dtype=np.uint8)
    np.testing.assert_array_equal(bilateral(flat, 9, 80, 80), flat)
    np.testing.assert_array_equal(non_local_means(flat, 10), flat)


def test_every_parameter_has_an_effect(noisy):
    assert roughness(non_local_means(noisy, 20)) < roughness(non_local_means(noisy, 5))
    assert (non_local_means(noisy, 10, 3) != non_local_means(noisy, 10, 7)).any()
    assert (non_local_means(noisy, 10, 7, 5) != non_local_means(noisy, 10, 7, 21)).any()
    standard = bilateral(noisy, 9, 80, 80)
    for other in (
        bilateral(noisy, 3, 80, 80),
        bilateral(noisy, 9, 10, 80),
        bilateral(noisy, 9, 80, 1),
    ):
        assert (other != standard).any()


def test_the_same_whatever_the_threads(noisy):
    before = cv2.getNumThreads()
    results = []
    for threads in (1, 4):
        cv2.setNumThreads(threads)
        results.append((non_local_means(noisy, 10), bilateral(noisy, 9, 80, 80)))
    cv2.setNumThreads(before)
    for one, four in zip(*results, strict=True):
        np.testing.assert_array_equal(one, four)
