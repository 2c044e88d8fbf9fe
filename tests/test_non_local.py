"""Non-local means equal eq. (16) computed plainly, in every form and on chosen pixels alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rsparse.core.backward.non_local import non_local_vjp
from rsparse.core.engines.cpu import loops
from rsparse.core.non_local import non_local_means, non_local_patches, smoothed_blocks
from rsparse.core.patches import positions, take
from tests.conftest import make_picture

FORMS = [
    (10.0, 7, 21, "squared"),
    (4.0, 3, 11, "squared"),
    (4900.0, 7, None, "printed"),
    (300.0, 1, 5, "printed"),
    (25.0, 15, 9, "squared"),
]


def plain_weights(
    image: np.ndarray, h: float, template: int, search: int | None, weights: str
) -> np.ndarray:
    """ω(i, j) of eq. (16) for all pixels i and j, each row divided by its sum, in float64."""
    height, width, channels = image.shape
    m = template // 2
    padded = np.pad(image.astype(float), ((m, m), (m, m), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (template, template), axis=(0, 1))
    compared = windows.reshape(height * width, -1)
    squares = np.square(compared[:, None] - compared[None]).sum(axis=2)
    if weights == "printed":
        omega = np.exp(-squares / h)
    else:
        omega = np.exp(-squares / (template**2 * channels) / h**2)
    if search is not None:
        places = np.stack(np.meshgrid(range(height), range(width), indexing="ij"), -1)
        places = places.reshape(-1, 2)
        far = np.abs(places[:, None] - places[None]).max(axis=2) > search // 2
        omega[far] = 0
    return omega / omega.sum(axis=1, keepdims=True)


def plain(image: np.ndarray, *how: object) -> np.ndarray:
    values = image.reshape(-1, image.shape[2]).astype(float)
    return (plain_weights(image, *how) @ values).reshape(image.shape)


def picture(channels: int, height: int = 14, width: int = 17) -> np.ndarray:
    rng = np.random.default_rng(3)
    noise = rng.integers(-8, 9, (height, width, 3))
    colored = np.clip(make_picture(5, height, width) + noise, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(colored[:, :, :channels])


@pytest.fixture(params=[loops.NUMPY, loops.NUMBA], ids=["numpy", "numba"])
def each_loop(request, monkeypatch):
    if request.param is None:
        pytest.skip("numba is not installed")
    monkeypatch.setattr(loops, "fastest", request.param)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("how", FORMS, ids=str)
def test_equals_the_equation(each_loop, how, channels):
    image = picture(channels)
    expected = plain(image, *how)
    corners = positions(image.shape[:2], 6, 4)
    blocks = smoothed_blocks(image, corners, 6, *how)
    for (y, x), block in zip(corners, blocks, strict=True):
        np.testing.assert_allclose(block / 255, expected[y : y + 6, x : x + 6] / 255, atol=1e-5)
    whole = non_local_means(image, *how)
    assert whole.shape == image.shape
    assert np.abs(whole - expected).max() <= 0.5 + 255e-5


@pytest.mark.parametrize("how", [FORMS[0], FORMS[2]], ids=str)
def test_chosen_pixels_have_the_bytes_of_the_whole_image(each_loop, how):
    image = picture(3, 20, 23)
    whole = non_local_means(image, *how)
    rng = np.random.default_rng(1)
    corners = np.stack([rng.integers(14, size=37), rng.integers(17, size=37)], axis=1)
    expected = take(whole, corners, 7)
    np.testing.assert_array_equal(non_local_patches(image, corners, 7, *how), expected)


def test_a_window_over_everything_is_the_whole_image():
    image = picture(3)
    largest = non_local_means(image, 99.0, 3, 2 * 17 - 1)
    np.testing.assert_array_equal(non_local_means(image, 99.0, 3, None), largest)
    assert (non_local_means(image, 99.0, 3, 17) != largest).any()


def test_printed_weights_are_squared_ones_of_another_strength():
    image = picture(1)
    printed = non_local_means(image, 49 * 6.0**2, 7, 9, "printed")
    np.testing.assert_array_equal(printed, non_local_means(image, 6.0, 7, 9, "squared"))


def test_opencv_is_opencv():
    image = picture(3)
    expected = cv2.fastNlMeansDenoisingColored(image[:, :, ::-1], None, 9, 9, 5, 11)[:, :, ::-1]
    np.testing.assert_array_equal(non_local_means(image, 9, 5, 11, "opencv"), expected)
    grey = image[:, :, :1]
    expected = cv2.fastNlMeansDenoising(np.ascontiguousarray(grey), None, 9, 5, 11)[:, :, None]
    np.testing.assert_array_equal(non_local_means(grey, 9, 5, 11, "opencv"), expected)


def test_large_differences_do_not_blur_small_ones(each_loop):
    """The sums of squares, up to 31·31·3·255², are exact: running sums carry no remainder."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :32] = 255
    image[20:, 64:, 1] = np.arange(44)[:, None] % 3
    how = (2.0, 31, 3, "squared")
    block = smoothed_blocks(image, np.array([[8, 32]]), 48, *how)[0]  # from the edge to the right
    y, x = 40, 79
    windows = np.lib.stride_tricks.sliding_window_view(image.astype(float), (31, 31), axis=(0, 1))
    own, around = windows[y - 15, x - 15], windows[y - 16 : y - 13, x - 16 : x - 13]
    omega = np.exp(-np.square(around - own).mean(axis=(2, 3, 4)) / 4)
    expected = (omega * image[y - 1 : y + 2, x - 1 : x + 2, 1]).sum() / omega.sum()
    assert block[y - 8, x - 32, 1] == pytest.approx(expected, abs=255e-5)


@pytest.mark.parametrize("how", FORMS[:3], ids=str)
def test_the_vjp_is_the_transpose_of_the_forward_map(how):
    """With the weights held, the forward is x ↦ W x, and its vjp u ↦ Wᵀ u."""
    image = picture(3)
    upper = np.random.default_rng(2).standard_normal(image.shape).astype(np.float32)
    held = plain_weights(image, *how)
    expected = (held.T @ upper.reshape(-1, 3).astype(float)).reshape(image.shape)
    np.testing.assert_allclose(non_local_vjp(image, upper, *how), expected, atol=2e-5)
