"""How strongly an image is purified, by the noise in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rsparse.core.dictionary import Dictionary
from rsparse.core.filters import bilateral
from rsparse.core.levels import DEFAULT_SPARSITY, Level, level_for, noise_level, period_two
from rsparse.core.regionsparse import object_region, purify
from rsparse.data import demo_photos
from rsparse.errors import InputError
from rsparse.options.purify import PurifyParameters
from rsparse.store.images import decode_image, find_images

RNG = np.random.default_rng(0)
AUTO = PurifyParameters(localize=False)


def grey(height: int = 64, width: int = 64, value: float = 128) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def noisy(deviation: float) -> np.ndarray:
    noise = RNG.normal(0, deviation, size=(64, 64, 1))
    return np.clip(np.rint(grey() + noise), 0, 255).astype(np.uint8)


def orthonormal(levels: tuple[Level, ...] = ()) -> Dictionary:
    atoms = np.linalg.qr(RNG.normal(size=(48, 48)))[0].astype(np.float32)
    return Dictionary(atoms, 4, levels=levels)


class TestNoiseLevel:
    def test_a_flat_image_has_none(self):
        assert noise_level(grey()) == 0

    def test_a_ramp_and_straight_edges_have_none(self):
        ramp = np.tile(np.arange(64, dtype=np.uint8)[None, :, None] * 3, (64, 1, 3))
        edges = grey()
        edges[:, 32:] = 10
        # the mirrored border of a ramp is a fold; a straight fold is no noise either
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
            assert 0.5 < np.mean(found) < 2  # 1 but for the finite sample
            assert max(found) < 8

    @pytest.mark.parametrize("kind", [np.s_[::2], np.s_[:, 1::2], np.s_[::2, 1::2]])
    @pytest.mark.parametrize("deviation", [2, 10])
    def test_noise_on_some_rows_and_columns_is_found(self, kind, deviation):
        image = np.full((128, 128, 1), 128.0)
        image[kind] += RNG.normal(0, deviation, image[kind].shape)
        image += RNG.normal(0, 1, image.shape)
        image = np.repeat(np.rint(image), 3, axis=2).astype(np.uint8)
        assert period_two(image) > 20
        assert period_two(image[:-1, 1:]) > 20  # wherever it begins

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


class TestLevelFor:
    LEVELS = (Level(2.0, 4), Level(6.0, 2), Level(np.inf, 1, localize=False))

    @pytest.mark.parametrize(("deviation", "sparsity"), [(0, 4), (5, 2), (30, 1)])
    def test_noisier_images_get_fewer_atoms(self, deviation, sparsity):
        assert level_for(noisy(deviation), self.LEVELS, AUTO).sparsity == sparsity

    def test_a_given_sparsity_holds_for_every_image(self):
        chosen = level_for(noisy(30), self.LEVELS, replace(AUTO, sparsity=7))
        assert (chosen.sparsity, chosen.localize) == (7, True)

    def test_noise_of_period_two_leads_on_to_the_next_level(self):
        levels = (Level(6.0, 0, period_below=4.0), Level(np.inf, 1))
        image = noisy(2)
        assert level_for(image, levels, AUTO) == levels[0]
        image[::2] = 128
        assert noise_level(image) < 6
        assert level_for(image, levels, AUTO) == levels[1]

    def test_what_else_is_given_holds_at_every_level(self):
        levels = (Level(2.0, 4, weakest=1.0, stride=5), Level(np.inf, 1))
        given = replace(AUTO, stride=3)
        assert level_for(grey(), levels, given) == replace(levels[0], stride=3)
        assert level_for(noisy(30), levels, given) == replace(levels[1], stride=3)

    def test_without_levels_there_is_a_default(self):
        assert level_for(noisy(30), (), AUTO).sparsity == DEFAULT_SPARSITY

    def test_a_level_may_code_the_whole_image(self):
        dictionary = orthonormal(self.LEVELS)
        everywhere = object_region(noisy(30), dictionary, PurifyParameters())
        assert everywhere.mask.all()
        assert everywhere.level == self.LEVELS[-1]


def test_auto_purifies_as_the_level_s_sparsity_does():
    dictionary = orthonormal((Level(3.0, 5), Level(np.inf, 1)))
    for image, sparsity in ((noisy(0.5), 5), (noisy(20), 1)):
        expected = purify(image, dictionary, replace(AUTO, sparsity=sparsity))
        assert np.array_equal(purify(image, dictionary, AUTO), expected)


def test_a_level_purifies_as_its_parameters_say():
    level = Level(np.inf, 9, localize=False, weakest=1.5, stride=3)
    image, dictionary = noisy(20), orthonormal()
    said = replace(AUTO, sparsity=9, weakest=1.5, stride=3)
    expected = purify(image, dictionary, said)
    by_level = replace(dictionary, levels=(level,))
    assert np.array_equal(purify(image, by_level, PurifyParameters()), expected)
    for other in ("weakest", "stride"):
        assert (purify(image, dictionary, replace(said, **{other: None})) != expected).any()


def test_a_level_without_atoms_leaves_images_as_they_are():
    image = noisy(20)
    for localize in (True, False):
        kept = purify(image, orthonormal((Level(np.inf, 0),)), PurifyParameters(localize=localize))
        assert np.array_equal(kept, image)
        assert kept is not image


@pytest.mark.parametrize("where", [PurifyParameters(), AUTO], ids=["region", "whole"])
def test_a_filter_before_the_whole_image_is_coded(where):
    image, dictionary = noisy(20), orthonormal()
    filtered = bilateral(image, 9, 80, 80)
    expected = purify(filtered, dictionary, replace(AUTO, sparsity=3))
    coded = purify(image, dictionary, replace(AUTO, sparsity=3, prefilter=True))
    assert np.array_equal(coded, expected)
    by_level = replace(dictionary, levels=(Level(np.inf, 3, localize=False, prefilter=True),))
    assert np.array_equal(purify(image, by_level, where), expected)


def test_a_given_mask_holds_at_levels_that_code_whole_images():
    image, plain = noisy(20), orthonormal()
    dictionary = replace(plain, levels=(Level(np.inf, 3, localize=False),))
    mask = np.zeros((64, 64), dtype=bool)
    mask[16:48, 16:48] = True
    expected = purify(image, plain, PurifyParameters(sparsity=3), mask=mask)
    assert np.array_equal(purify(image, dictionary, PurifyParameters(), mask=mask), expected)
    assert object_region(image, dictionary, AUTO, None, mask)[0].all()


def test_a_filter_before_the_region_is_coded_and_the_background_as_it_is():
    image, dictionary = noisy(20), orthonormal()
    mask = np.zeros((64, 64), dtype=bool)
    mask[16:48, 16:48] = True
    parameters = PurifyParameters(sparsity=3, prefilter=True, background=False, feather=0)
    clean = purify(image, dictionary, parameters, mask=mask)
    whole = purify(image, dictionary, replace(AUTO, sparsity=3, prefilter=True))
    assert np.array_equal(clean[~mask], image[~mask])
    assert np.array_equal(clean[20:44, 20:44], whole[20:44, 20:44])


@pytest.mark.parametrize(
    "levels",
    [
        (Level(3.0, 1),),
        (Level(3.0, 1), Level(2.0, 1), Level(np.inf, 1)),
        (Level(0.0, 1), Level(np.inf, 1)),
        (Level(float("nan"), 1), Level(np.inf, 1)),
        (Level(np.inf, -1),),
        (Level(np.inf, 1, period_below=4.0),),
        (Level(3.0, 1, period_below=float("nan")), Level(np.inf, 1)),
    ],
    ids=["finite", "falling", "empty", "nan", "negative", "last by period", "no period"],
)
def test_levels_that_make_no_sense_are_refused(levels):
    with pytest.raises(InputError, match="dictionary: "):
        orthonormal(levels)
