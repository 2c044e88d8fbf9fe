"""Large images in bands of rows: the same bytes as at once, in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from rsparse.core import noise, patches
from rsparse.core.dictionary import Dictionary
from rsparse.core.engines import load_engine
from rsparse.core.engines.cpu import coding, overlap
from rsparse.core.engines.cpu.coding import sparse_code
from rsparse.core.patches import blocks_of_positions, positions
from rsparse.core.regionsparse import object_region, purify
from rsparse.options.purify import PurifyParameters
from rsparse.store.images import to_unit
from tests.conftest import make_picture

LIMIT = 18 * 1500 * 1600 + (16 << 20)
"""Bytes beside an image of 1500×1600 pixels while it is purified."""


def random_dictionary(channels: int) -> Dictionary:
    atoms = np.random.default_rng(7).standard_normal((24, 36 * channels)).astype(np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    return Dictionary(atoms, 6, color=channels == 3)


def masks(shape: tuple[int, int]) -> dict[str, np.ndarray | None]:
    whole, cross, nothing = np.ones(shape, bool), np.zeros(shape, bool), np.zeros(shape, bool)
    cross[:, 20] = cross[40, :] = cross[0, 0] = True
    return {"none": None, "whole": whole, "cross": cross, "nothing": nothing}


@pytest.fixture
def narrow(monkeypatch):
    """A function that makes all bands as narrow as can be."""

    def make() -> None:
        for module, name in (
            (coding, "_BAND"), (overlap, "_BAND"), (patches, "_PLACES"), (noise, "_BAND"),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, 1)

    return make


@pytest.mark.parametrize("kind", ["none", "whole", "cross", "nothing"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("stride", [1, 5, 64])
def test_codes_do_not_depend_on_the_bands(kind, channels, stride, narrow):
    image, dictionary = make_picture(3, 83, 61), random_dictionary(channels)
    mask = masks(image.shape[:2])[kind]
    coded, covered = sparse_code(image, dictionary, 3, stride, mask)
    narrow()
    for same in (image, to_unit(image)):
        again, found = np.zeros_like(coded), np.zeros_like(covered)
        for band in coding.coded_bands(same, dictionary, (3, 0.0), stride, mask):
            rows = slice(band.top, band.top + len(band.average))
            again[rows, :, band.channels], found[rows] = band.average, band.covered
        np.testing.assert_array_equal(again, coded)
        np.testing.assert_array_equal(found, covered)


def test_the_mean_colour_is_that_of_the_whole_image(narrow):
    image = make_picture(4, 97, 45)
    narrow()
    for channels in (1, 3):
        layer = coding._Layer(
            image, slice(0, channels), random_dictionary(channels), (1, 0.0), 2, coding.loops.NUMPY
        )
        expected = np.ascontiguousarray(to_unit(image)[:, :, :channels]).mean(axis=(0, 1))
        np.testing.assert_array_equal(layer.center, expected)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize("channels", [1, 3])
def test_blending_by_bands_is_blending_at_once(engine, channels, narrow):
    pytest.importorskip("numba")
    images, dictionary = make_picture(5, 70, 64)[None], random_dictionary(channels)
    parameters = PurifyParameters(feather=3.0)
    region = object_region(images[0], dictionary, parameters, mask=masks((70, 64))["cross"])
    arguments = [region.theta > 0], dictionary
    computing, stops = load_engine(engine), (2, 3, 0.5)
    coded = computing.sparse_code(images, *arguments, *stops)
    expected = computing.blend(*coded, [region.theta], images)
    narrow()
    clean = computing.code_over(images, *arguments, stops, [region.theta], images)
    np.testing.assert_array_equal(clean, expected)
    assert (clean != images).any()


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("kind", ["none", "whole", "cross", "nothing"])
def test_blocks_are_the_positions_in_their_order(kind, size, narrow):
    mask = masks((83, 61))[kind]
    expected = positions((83, 61), 6, 3, mask)
    for _ in range(2):
        blocks = list(blocks_of_positions((83, 61), 6, 3, mask, size))
        np.testing.assert_array_equal(np.concatenate([expected[:0], *blocks]), expected)
        assert all(len(block) == size for block in blocks[:-1])
        narrow()


def test_the_period_does_not_depend_on_the_bands(narrow):
    image = make_picture(6, 120, 90)
    level, period = noise.noise_level(image), noise.period_two(image)
    narrow()
    assert (noise.noise_level(image), noise.period_two(image)) == (level, period)
    assert period > 0


@pytest.mark.parametrize(
    "parameters",
    [
        PurifyParameters(sparsity=1, stride=8),
        PurifyParameters(sparsity=1, stride=6, localize=False, prefilter=True),
        PurifyParameters(sparsity=1, stride=8, filter_background=False, feather=0),
    ],
    ids=repr,
)
def test_purifying_takes_little_memory_for_a_pixel(parameters):
    image, dictionary = make_picture(1, 1500, 1600), random_dictionary(3)
    purify(image[:64, :64].copy(), dictionary, parameters)  # compiles
    assert peak_of(lambda: purify(image, dictionary, parameters)) < LIMIT


def test_measuring_noise_takes_little_memory_for_a_pixel():
    image = make_picture(1, 1500, 1600)
    for measure in (noise.noise_level, noise.period_two):
        assert peak_of(lambda measure=measure: measure(image)) < LIMIT


def peak_of(function) -> int:
    """Bytes of arrays that a call allocates, at their most."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
