"""Object localization: what is found, and that every option has an effect."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rsparse.core.localization import draw_outline, locate_object
from rsparse.options.localize import LocalizeParameters
from tests.conftest import make_picture

SQUARE = (slice(60, 140), slice(50, 130))


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A textured bright square on a flat background, and a small speck away from it."""
    rng = np.random.default_rng(0)
    image = np.full((200, 200, 3), 60, dtype=np.uint8)
    image[SQUARE] = rng.integers(100, 256, (80, 80, 3))
    image[20:27, 170:177] = rng.integers(0, 256, (7, 7, 3))
    return image


def overlap(mask: np.ndarray, shape: tuple[int, int] = (200, 200)) -> float:
    truth = np.zeros(shape, dtype=bool)
    truth[SQUARE] = True
    return float((mask & truth).sum() / (mask | truth).sum())


def area(image: np.ndarray, **options: object) -> float:
    return float(locate_object(image, LocalizeParameters(**options))[0].mean())


def test_a_textured_square_is_found(scene):
    mask, found = locate_object(scene)
    assert found
    assert mask.shape == (200, 200)
    assert mask.dtype == bool
    assert overlap(mask) > 0.75
    assert not mask[:45].any()


@pytest.mark.parametrize(
    "options",
    [
        {"gradient": "scharr"},
        {"otsu": True},
        {"threshold": 60},
        {"gradient_difference": "horizontal", "otsu": True},
    ],
)
def test_the_variants_find_it_too(scene, options):
    assert overlap(locate_object(scene, LocalizeParameters(**options))[0]) > 0.6


@pytest.mark.parametrize(
    "options",
    [
        {"gradient": "scharr"},
        {"gradient_difference": "horizontal"},
        {"blur_size": 3},
        {"threshold": 30},
        {"otsu": True},
        {"closing_size": 3},
        {"opening_rounds": 0},
        {"keep_contours": "all", "opening_rounds": 0},
        {"working_size": 100},
    ],
    ids=repr,
)
def test_every_option_has_an_effect(scene, options):
    standard = {"opening_rounds": 0} if "keep_contours" in options else {}
    mask, _ = locate_object(scene, LocalizeParameters(**options))
    assert (mask != locate_object(scene, LocalizeParameters(**standard))[0]).any()


def test_the_difference_of_signed_gradients_misses_one_diagonal():
    """|Gx − Gy| is 0 on edges where Gx = Gy; by the paper's text, they should be kept."""
    rows, columns = np.mgrid[0:120, 0:120]
    falling = np.repeat((((rows + columns) % 16 < 8) * 200)[:, :, None], 3, axis=2)
    rising = np.ascontiguousarray(falling[:, ::-1])
    whole = {"fallback_region": "none"}
    assert area(falling.astype(np.uint8), **whole) < 0.2
    assert area(rising.astype(np.uint8), **whole) > 0.8


def test_horizontal_keeps_vertical_edges_only():
    stripes = np.zeros((100, 100, 3), dtype=np.uint8)
    stripes[:, np.arange(100) % 8 < 4] = 255
    options = {"gradient_difference": "horizontal", "fallback_region": "none"}
    assert area(stripes, **options) > 0.8
    assert area(np.ascontiguousarray(stripes.transpose(1, 0, 2)), **options) == 0


def test_all_contours_hold_the_largest_one(scene):
    largest, _ = locate_object(scene, LocalizeParameters(opening_rounds=0))
    every, _ = locate_object(scene, LocalizeParameters(opening_rounds=0, keep_contours="all"))
    assert (every >= largest).all()
    assert every[23, 173]
    assert not largest[23, 173]


def test_holes_in_the_outline_are_filled():
    ring = np.full((200, 200, 3), 60, dtype=np.uint8)
    cv2.rectangle(ring, (40, 40), (160, 160), (255, 255, 255), 6)
    mask, found = locate_object(
        ring, LocalizeParameters(closing_size=9, threshold=60, opening_rounds=1)
    )
    assert found
    assert mask[50:150, 50:150].all()
    assert not mask[:20].any()


@pytest.mark.parametrize(("fallback", "share"), [("whole", 1), ("center", 0.25), ("none", 0)])
def test_where_nothing_is_found_the_fallback_is_taken(fallback, share):
    flat = np.full((40, 60, 3), 99, dtype=np.uint8)
    mask, found = locate_object(flat, LocalizeParameters(fallback_region=fallback))
    assert not found
    assert mask.mean() == pytest.approx(share)
    if fallback == "center":
        assert mask[10:30, 15:45].all()


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("fallback", ["whole", "center"])
def test_the_fallback_of_a_tiny_image_is_not_empty(size, fallback):
    tiny = np.full((size, size, 3), 99, dtype=np.uint8)
    assert locate_object(tiny, LocalizeParameters(fallback_region=fallback))[0].any()


def test_a_large_image_is_searched_at_the_working_size(scene):
    large = cv2.resize(scene, (800, 800), interpolation=cv2.INTER_NEAREST)
    mask, found = locate_object(large, LocalizeParameters(working_size=200))
    assert found
    assert mask.shape == (800, 800)
    small, _ = locate_object(scene, LocalizeParameters(working_size=200))
    np.testing.assert_array_equal(mask, np.kron(small, np.ones((4, 4), dtype=bool)))
    full, _ = locate_object(large, LocalizeParameters(working_size=0))
    assert (full != mask).any()


def test_an_image_up_to_the_working_size_is_searched_as_it_is(scene):
    at_size, _ = locate_object(scene, LocalizeParameters(working_size=200))
    np.testing.assert_array_equal(at_size, locate_object(scene)[0])


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (8, 8), (7, 1000)])
def test_any_shape_is_searched(shape):
    image = make_picture(1, *shape)
    for options in (
        {},
        {"otsu": True},
        {"closing_size": 999, "blur_size": 99, "opening_rounds": 100},
    ):
        mask, _ = locate_object(image, LocalizeParameters(**options))
        assert mask.shape == shape


def test_the_image_is_left_as_it_was(scene):
    before = scene.copy()
    draw_outline(scene, locate_object(scene)[0])
    np.testing.assert_array_equal(scene, before)


def test_the_outline_is_red_and_the_rest_dimmed(scene):
    mask = np.zeros((200, 200), dtype=bool)
    mask[SQUARE] = True
    picture = draw_outline(scene, mask)
    assert picture.shape == scene.shape
    assert picture[60, 90].tolist() == [255, 40, 40]
    np.testing.assert_array_equal(picture[100, 90], scene[100, 90])
    np.testing.assert_array_equal(picture[190, 190], scene[190, 190] // 2)
    np.testing.assert_array_equal(draw_outline(scene, ~(mask | ~mask)), scene // 2)
