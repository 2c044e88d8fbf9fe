"""Denoisers: their specs and records, and what each gets to see."""

from __future__ import annotations

import json
import pickle

import cv2
import numpy as np
import pytest

from rsparse.core.cosines import cosines
from rsparse.core.dictionary import Dictionary
from rsparse.defenses import DEFENSES, Resources, parse_defense
from rsparse.denoisers import DENOISERS, denoiser_of, parse_denoiser
from rsparse.errors import InputError

NOTHING = Resources()
SPECS = [
    "unrolled", "unrolled:stride=3,keeps=pixels", "omp", "omp:threshold=2.5,weighted=no,coarse=yes",
    "none", "gaussian:sigma=1.5", "nlm:h=20", "jpeg:quality=30", "bit-depth:bits=4+gaussian",
    "median",
]  # fmt: skip


def noisy(size: tuple[int, int] = (24, 20)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return 0.5 + 0.3 * rng.standard_normal((*size, 3), np.float32)


@pytest.mark.parametrize("spec", SPECS)
def test_every_denoiser_gives_an_image_again(spec):
    x = noisy()
    before = x.copy()
    denoiser = parse_denoiser(spec)
    y = denoiser.denoise(x, 0.3, NOTHING)
    assert (y.shape, y.dtype) == (x.shape, np.float32)
    assert np.array_equal(x, before)
    assert np.array_equal(denoiser.denoise(x, 0.3, NOTHING), y)
    assert np.isfinite(y).all()


@pytest.mark.parametrize("spec", SPECS)
def test_a_denoiser_is_made_again_from_its_record_and_its_spec(spec):
    denoiser = parse_denoiser(spec)
    assert denoiser_of(json.loads(json.dumps(denoiser.as_record()))) == denoiser
    assert parse_denoiser(denoiser.spec) == denoiser
    assert pickle.loads(pickle.dumps(denoiser)) == denoiser


def test_no_name_means_both_a_defense_and_a_denoiser():
    assert not set(DENOISERS) & set(DEFENSES)


def test_nothing_is_rounded_where_it_need_not_be():
    x = noisy()
    assert parse_denoiser("none").denoise(x, 0.3, NOTHING) is x
    blurred = parse_denoiser("gaussian:sigma=1.5").denoise(x, 0.3, NOTHING)
    assert np.array_equal(blurred, cv2.GaussianBlur(x, (0, 0), 1.5))
    chained = parse_denoiser("none+gaussian:sigma=1.5").denoise(x, 0.3, NOTHING)
    assert np.array_equal(blurred, chained)


def test_other_defenses_get_grey_levels():
    x = noisy()
    (jpeg,) = parse_defense("jpeg:quality=30")
    pixels = np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)
    expected = jpeg.clean(pixels, NOTHING).astype(np.float32) / np.float32(255)
    assert np.array_equal(parse_denoiser("jpeg:quality=30").denoise(x, 0.3, NOTHING), expected)


def test_omp_takes_a_dictionary_of_the_user():
    own = Resources({"": Dictionary(cosines(6, 3, 108), 6)})
    named = Resources({"dct": Dictionary(cosines(6, 3, 108), 6)})
    x = noisy()
    embedded = parse_denoiser("omp").denoise(x, 0.3, NOTHING)
    given = parse_denoiser("omp").denoise(x, 0.3, own)
    assert not np.array_equal(embedded, given)
    assert np.array_equal(parse_denoiser("omp:dictionary=dct").denoise(x, 0.3, named), given)
    parse_denoiser("omp").check(own)
    with pytest.raises(InputError, match="omp needs a dictionary named 'dct': --dict dct=dict.h5"):
        parse_denoiser("omp:dictionary=dct").check(own)
    grey = Resources({"": Dictionary(cosines(6, 1, 36), 6, color=False)})
    with pytest.raises(InputError, match="omp needs a dictionary of colour patches"):
        parse_denoiser("omp").check(grey)


@pytest.mark.parametrize("spec", ["unrolled", "omp"])
def test_images_smaller_than_a_patch_are_refused(spec):
    with pytest.raises(InputError, match="is 7×20 pixels, smaller than a patch of 8×8"):
        parse_denoiser(spec).denoise(noisy((20, 7)), 0.3, NOTHING)
    assert parse_denoiser(spec).denoise(noisy((8, 8)), 0.3, NOTHING).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ompp", "unknown defense 'ompp'; known: .*; further denoisers: unrolled, omp"),
        ("omp:threshold=2,3", "denoiser 'omp:threshold=2,3': expected one, got 2"),
        ("gaussian:sigma=1,2", "expected one, got 2; certify them apart"),
        ("omp:threshold=0", "threshold: expected a number above 0 up to 100, got 0"),
        ("unrolled:stride=9", "stride: expected a whole number from 1 to 8, got 9"),
    ],
)
def test_bad_specs(spec, message):
    with pytest.raises(InputError, match=message):
        parse_denoiser(spec)
