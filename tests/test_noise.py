"""Noise level of an image, and whether its noise has a period of two."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from rsparse.core import noise
from rsparse.core.noise import (
    color_noise,
    color_period_two,
    flattest,
    noise_level,
    period_two,
)
from rsparse.data import demo_photos
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image

RNG = np.random.default_rng(0)


def grey(height: int = 64, width: int = 64, value: float = 128) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def noisy(deviation: float) -> np.ndarray:
    noise = RNG.normal(0, deviation, size=(64, 64, 1))
    return np.clip(np.rint(grey() + noise), 0, 255).astype(np.uint8)


class TestNoiseLevel:
    def test_a_flat_image_has_none(self):
        assert noise_level(grey()) == 0

    def test_a_ramp_and_straight_edges_have_none(self):
        ramp = np.tile(np.arange(64, dtype=np.uint8)[None, :, None] * 3, (64, 1, 3))
        edges = grey()
        edges[:, 32:] = 10
        # mirroring folds the ramp at its border; a straight fold is not noise either
        assert noise_level(ramp) == pytest.approx(0, abs=1e-3)
        assert noise_level(edges) == pytest.approx(0, abs=1e-3)

    @pytest.mark.parametrize("deviation", [2, 5, 10, 20])
    def test_white_noise_is_measured_a_little_low_since_the_flattest_parts_count(self, deviation):
        assert 0.6 * deviation < noise_level(noisy(deviation)) < deviation

    def test_more_noise_is_more(self):
        levels = [noise_level(noisy(deviation)) for deviation in (1, 2, 4, 8, 16, 32)]
        assert levels == sorted(levels)

    def test_texture_on_most_of_an_image_is_not_noise(self):
        image = grey()
        image[:, 8:] = RNG.integers(0, 256, size=(64, 56, 3))
        assert noise_level(image) == 0

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2)])
    def test_small_images_have_a_finite_level(self, shape):
        assert noise_level(RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)) >= 0


class TestPeriodTwo:
    def test_white_noise_has_none_however_strong_and_large_it_is(self):
        for deviation, side in ((2, 64), (20, 64), (8, 256)):
            noise = RNG.normal(128, deviation, size=(20, side, side, 1)).clip(0, 255)
            images = np.repeat(np.rint(noise), 3, axis=3).astype(np.uint8)
            found = [period_two(image) for image in images]
            assert 0.5 < np.mean(found) < 2  # 1, up to sampling error
            assert max(found) < 8

    @pytest.mark.parametrize("kind", [np.s_[::2], np.s_[:, 1::2], np.s_[::2, 1::2]])
    @pytest.mark.parametrize("deviation", [2, 10])
    def test_noise_on_some_rows_and_columns_is_found(self, kind, deviation):
        image = np.full((128, 128, 1), 128.0)
        image[kind] += RNG.normal(0, deviation, image[kind].shape)
        image += RNG.normal(0, 1, image.shape)
        image = np.repeat(np.rint(image), 3, axis=2).astype(np.uint8)
        assert period_two(image) > 20
        assert period_two(image[:-1, 1:]) > 20  # wherever the pattern begins

    def test_no_other_period_is_taken_for_two(self):
        image = np.full((240, 240, 1), 128.0)
        image[::3] += RNG.normal(0, 10, image[::3].shape)
        image[:, ::5] += RNG.normal(0, 10, image[:, ::5].shape)
        assert period_two(np.repeat(np.rint(image), 3, axis=2).astype(np.uint8)) < 10

    @pytest.mark.parametrize("image", [
        grey(), grey(3, 200), RNG.integers(0, 256, (11, 90, 3), dtype=np.uint8),
        RNG.integers(0, 256, (20, 20, 3), dtype=np.uint8),
    ], ids=["flat", "low", "narrow", "few blocks"])  # fmt: skip
    def test_what_is_too_small_or_flat_to_tell_has_none(self, image):
        assert period_two(image) == 0

    def test_photographs_have_little(self):
        files = find_images([demo_photos("test")])
        found = [period_two(decode_image(file.read(), file.path)) for file in files]
        assert np.median(found) < 2


class TestPeriodInColour:
    def test_it_is_one_for_noise_without_a_period(self):
        rng = np.random.default_rng(0)
        found = []
        for _ in range(40):
            grey = rng.normal(128, 3, (96, 96, 1))
            image = np.rint(grey + rng.normal(0, 3, (96, 96, 3)))
            found.append(color_period_two(image.astype(np.uint8)))
        assert np.mean(found) == pytest.approx(1, abs=0.25)

    @pytest.mark.parametrize("channel", [0, 1, 2])
    def test_it_finds_a_period_of_one_channel_that_brightness_hides(self, channel):
        rng = np.random.default_rng(1)
        image = np.repeat(rng.normal(128, 6, (96, 96, 1)), 3, axis=2)
        image += rng.normal(0, 1, image.shape)
        changed = image.copy()
        changed[:, ::2, channel] += rng.normal(0, 3, (96, 48))
        clean, attacked = (np.rint(x).astype(np.uint8) for x in (image, changed))
        assert color_period_two(attacked) > 8 > 3 > color_period_two(clean)
        assert color_period_two(attacked) > 2 * period_two(attacked)

    def test_of_a_grey_image_it_is_the_period(self):
        rng = np.random.default_rng(2)
        grey = np.rint(rng.normal(128, 5, (64, 72, 1))).astype(np.uint8)
        image = np.repeat(grey, 3, axis=2)
        assert color_period_two(image) == period_two(image) > 0

    def test_it_is_zero_for_what_is_too_small_or_flat(self):
        assert color_period_two(np.full((64, 64, 3), (10, 200, 90), np.uint8)) == 0
        assert color_period_two(np.zeros((5, 64, 3), np.uint8)) == 0


class TestBands:
    """A large image is measured in bands of rows, as if it were measured at once."""

    @pytest.mark.parametrize("measure", [noise_level, color_noise, period_two, color_period_two])
    @pytest.mark.parametrize("shape", [(117, 64), (40, 200), (29, 13), (8, 8)])
    def test_they_change_no_byte(self, measure, shape, monkeypatch):
        image = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
        whole, flat = measure(image), flattest(image)
        monkeypatch.setattr(noise, "_BAND", 1)
        assert measure(image) == whole
        np.testing.assert_array_equal(flattest(image), flat)

    @pytest.mark.parametrize("measure", [noise_level, color_noise, period_two, color_period_two])
    def test_a_large_image_takes_less_than_eight_bytes_a_pixel_more(self, measure, monkeypatch):
        monkeypatch.setattr(noise, "_BAND", 1 << 14)
        image = RNG.integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
        tracemalloc.start()
        measure(image)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        bands = 80 * noise._BAND  # beside the rows under way
        assert peak < 8 * 1500 * 2000 + bands
