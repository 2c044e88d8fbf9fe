"""Patches: their positions, extraction and reassembly, and the z-score of eq. 17."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.core.patches import (
    grid,
    patch_statistics,
    positions,
    take,
    z_score,
)
from rsparse.store.images import to_unit
from tests.conftest import make_picture

SIDES = [(8, 8), (8, 9), (9, 8), (13, 8), (31, 17), (20, 33)]


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return to_unit(make_picture(3, 21, 30))


@pytest.mark.parametrize("stride", range(1, 12))
@pytest.mark.parametrize("length", [4, 5, 7, 8, 11, 30])
def test_grid_covers_the_side_when_the_stride_is_no_longer_than_a_patch(length, stride):
    starts = grid(length, 4, stride)
    assert starts[0] == 0
    assert starts[-1] == length - 4
    assert (np.diff(starts) > 0).all()
    assert (np.diff(starts) <= stride).all()
    covered = np.zeros(length, dtype=bool)
    for start in starts:
        covered[start : start + 4] = True
    assert covered.all() or stride > 4


@pytest.mark.parametrize("shape", SIDES)
@pytest.mark.parametrize("stride", [1, 2, 3, 8, 64])
def test_positions_are_distinct_inside_and_in_reading_order(shape, stride):
    corners = positions(shape, 8, stride)
    assert (corners >= 0).all()
    assert (corners + 8 <= shape).all()
    assert len(np.unique(corners, axis=0)) == len(corners)
    assert [tuple(corner) for corner in corners] == sorted(tuple(corner) for corner in corners)


def test_stride_one_takes_every_position():
    assert len(positions((12, 10), 4, 1)) == 9 * 7


@pytest.mark.parametrize("stride", [1, 3, 5])
def test_positions_of_a_mask_are_those_whose_patch_touches_it(stride):
    mask = np.random.default_rng(0).random((23, 19)) > 0.97
    chosen = {tuple(corner) for corner in positions(mask.shape, 5, stride, mask)}
    touching = {
        (row, column)
        for row, column in positions(mask.shape, 5, stride)
        if mask[row : row + 5, column : column + 5].any()
    }
    assert chosen == touching
    assert 0 < len(chosen) < len(positions(mask.shape, 5, stride))


def test_positions_of_an_empty_mask_are_none():
    assert positions((9, 9), 4, 1, np.zeros((9, 9), dtype=bool)).shape == (0, 2)


def test_take_reads_row_column_channel(x):
    corners = np.array([[0, 0], [16, 25], [3, 7]])
    patches = take(x, corners, 5)
    for (row, column), patch in zip(corners, patches, strict=True):
        assert (patch == x[row : row + 5, column : column + 5].ravel()).all()


def test_take_of_no_corners_is_empty(x):
    assert take(x, np.empty((0, 2), dtype=np.intp), 5).shape == (0, 75)


def test_z_score_has_mean_zero_and_deviation_one(x):
    patches = z_score(take(x, positions(x.shape[:2], 4, 1), 4))
    assert patches.dtype == np.float32
    np.testing.assert_allclose(patches.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(patches.std(axis=0), 1, atol=1e-4)


def test_z_score_of_a_dimension_without_variance_is_zero():
    patches = np.random.default_rng(0).random((40, 3)).astype(np.float32)
    patches[:, 1] = 0.1
    scored = z_score(patches)
    assert np.isfinite(scored).all()
    assert (scored[:, 1] == 0).all()
    assert scored[:, 0].std() == pytest.approx(1, abs=1e-4)


def test_z_score_of_one_patch_is_zero():
    assert (z_score(np.array([[0.2, 0.9]], dtype=np.float32)) == 0).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("b", "stride"), [(4, 1), (4, 3), (5, 7), (21, 1)])
def test_patch_statistics_are_those_of_the_patches(x, channels, b, stride):
    image = np.ascontiguousarray(x[:, :, :channels])
    patches = take(image, positions(image.shape[:2], b, stride), b).astype(np.float64)
    mean, deviation = patch_statistics(image, b, stride)
    np.testing.assert_allclose(mean, patches.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(deviation, patches.std(axis=0), atol=1e-6)


@pytest.mark.parametrize("level", [0, 1, 37, 128, 254, 255])
def test_the_deviation_of_a_constant_image_counts_as_none(level):
    flat = to_unit(np.full((40, 37, 3), level, dtype=np.uint8))
    mean, deviation = patch_statistics(flat, 8, 1)
    assert (deviation <= 1e-6).all()
    np.testing.assert_array_equal(mean, flat[0, 0, 0])
