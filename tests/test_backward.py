"""The backward passes of the method, against closed forms and differences with decisions held."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.core.backward import loops
from rsparse.core.backward.bilateral import bilateral_vjp
from rsparse.core.backward.regionsparse import PurifiedImage, purify_recorded
from rsparse.core.dictionary import Dictionary
from rsparse.core.filters import bilateral
from rsparse.core.patches import positions, take
from rsparse.core.regionsparse import purify
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters
from tests.conftest import make_picture
from tests.engines import CASES, complete, random_dictionary

WHERE = LocalizeParameters(threshold=60, closing_size=5)


@pytest.fixture(
    autouse=True, params=[each for each in (loops.NUMPY, loops.NUMBA) if each], ids=lambda e: e.name
)
def both_loops(request, monkeypatch):
    monkeypatch.setattr(loops, "fastest", request.param)


def normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def derivative(function, x: np.ndarray, along: np.ndarray, h: float = 1e-4) -> np.ndarray:
    """The central difference of a function of float64 images along a direction."""
    return (function(x + h * along) - function(x - h * along)) / (2 * h)


def steps_apart(height: int, width: int) -> np.ndarray:
    """An image in which no pixel equals a neighbour within four pixels in any channel."""
    rows, columns = np.indices((height, width)) % 9
    level = 3 * (9 * rows + columns)
    return np.stack([level, 242 - level, (level + 90) % 243], axis=-1).astype(np.uint8)


def float_bilateral(x: np.ndarray, diameter: int, color: float, space: float) -> np.ndarray:
    """The bilateral filter in float64, for images (h, w, 3) in grey levels."""
    reach, (height, width) = max(diameter // 2, 1), x.shape[:2]
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    sums, weights = np.zeros_like(x), np.zeros((height, width, 1))
    for row in range(2 * reach + 1):
        for column in range(2 * reach + 1):
            square = (row - reach) ** 2 + (column - reach) ** 2
            if square <= reach**2:
                other = padded[row : row + height, column : column + width]
                distance = np.abs(other - x).sum(axis=2, keepdims=True)
                w = np.exp(-square / (2 * space**2) - distance**2 / (2 * color**2))
                sums, weights = sums + w * other, weights + w
    return sums / weights


FILTERS = [(9, 80.0, 80.0), (5, 25.0, 2.0), (4, 40.0, 3.0), (1, 60.0, 60.0)]


@pytest.mark.parametrize("filter_", FILTERS, ids=str)
def test_the_filter_in_float_is_opencvs(filter_):
    image = make_picture(3, 21, 26)
    apart = np.abs(float_bilateral(image.astype(float), *filter_) - bilateral(image, *filter_))
    assert apart.max() <= 0.5 + 1e-3


@pytest.mark.parametrize("filter_", FILTERS, ids=str)
@pytest.mark.parametrize("shape", [(21, 26), (3, 30)], ids=str)
def test_the_filter_agrees_with_differences(filter_, shape):
    image = steps_apart(*shape)
    upper, along = normal(image.shape), normal(image.shape, 1).astype(float)
    expected = derivative(lambda x: float_bilateral(x, *filter_), image.astype(float), along)
    found = bilateral_vjp(image, upper, *filter_)
    scale = np.linalg.norm(upper) * np.linalg.norm(along)
    assert np.sum(found * along) == pytest.approx(np.sum(upper * expected), abs=1e-6 * scale)


def test_the_filter_with_held_weights_would_have_another_slope():
    """The derivative of the weights is a large part of the whole."""
    image = steps_apart(21, 26)
    upper = normal(image.shape)
    wide = bilateral_vjp(image, upper, 9, 1e6, 80.0)  # its weights hardly depend on the colours
    narrow = bilateral_vjp(image, upper, 9, 40.0, 80.0)
    assert np.linalg.norm(narrow - wide) > 0.5 * np.linalg.norm(wide)


def test_a_flat_image_is_filtered_by_fixed_weights():
    """All weights of the disk of radius 1 are equal, so a pixel is the mean of five."""
    image = np.full((5, 7, 3), 90, np.uint8)
    upper = np.zeros(image.shape, np.float32)
    upper[2, 3, 1] = 5
    found = bilateral_vjp(image, upper, 3, 30.0, 1e6)
    expected = np.zeros(image.shape)
    expected[[1, 2, 2, 2, 3], [3, 2, 3, 4, 3], 1] = 1
    np.testing.assert_allclose(found, expected, atol=1e-6)


class HeldMethod:
    """RegionSparse in float64 for grey levels, with the decisions of a run held.

    Rounding moves an image by as much as in the run, and a code changes from that of the run by
    the projection of the patch's change onto the held atoms.
    """

    def __init__(self, done: PurifiedImage) -> None:
        self.done, self.values = done, done.parameters
        self.filtered_by = (
            self._filtered(done.image.astype(float)),
            bilateral(done.image, *self._filter),
        )
        shape, b = done.image.shape[:2], done.dictionary.patch_size
        stride = min(self.values.stride, b)
        self.grid = positions(shape, b, stride)
        self.layers = done.engine.recorder.layers()
        if done.engine.coding is not None:
            self.corners = positions(shape, b, stride, done.engine.coding.mask)
            self.before = [self._z(layer.x.astype(float))[0] for layer in self.layers]

    @property
    def _filter(self) -> tuple[int, float, float]:
        values = self.values
        return (
            values.bilateral_diameter,
            values.bilateral_sigma_color,
            values.bilateral_sigma_space,
        )

    def _filtered(self, x: np.ndarray) -> np.ndarray:
        return float_bilateral(x, *self._filter)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        filtered = self._filtered(x) - self.filtered_by[0] + self.filtered_by[1]
        is_filtered = self.values.prefilter or (self.done.region.theta < 1).any()
        x_b = filtered if self.values.filter_background and is_filtered else x
        coding = self.done.engine.coding
        if coding is None:
            return x_b
        coded = self._coded((filtered if self.values.prefilter else x) / 255)
        theta = np.where(coding.covered, self.done.region.theta, 0)[:, :, None]
        inside = (coding.coded > 0) & (coding.coded < 1)
        return theta * np.where(inside, coded, coding.coded.clip(0, 1)) * 255 + (1 - theta) * x_b

    def _coded(self, x: np.ndarray) -> np.ndarray:
        b, atoms = self.done.dictionary.patch_size, self.done.dictionary.atoms.astype(float)
        sums, counts = np.zeros_like(x), np.zeros((*x.shape[:2], 1))
        for own, layer, before in zip(
            np.split(np.arange(3), len(self.layers)), self.layers, self.before, strict=True
        ):
            z, mean, deviation = self._z(np.ascontiguousarray(x[:, :, own]))
            for n, (row, column) in enumerate(self.corners):
                span = atoms[layer.held[n][layer.held[n] >= 0]]
                change = np.linalg.lstsq(span.T, z[n] - before[n], rcond=None)[0] @ span
                code = layer.coefficients[n] @ atoms[layer.atoms[n]] + change
                place = slice(row, row + b), slice(column, column + b)
                sums[(*place, own)] += (deviation * code + mean).reshape(b, b, -1)
                counts[place] += 1 / len(self.layers)
        return sums / np.maximum(np.rint(counts), 1)

    def _z(self, layer: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Standardised patches, μ and σ."""
        b, size = self.done.dictionary.patch_size, self.done.dictionary.atoms.shape[1]
        everywhere = take(layer, self.grid, b)
        mean, deviation = everywhere.mean(axis=0), everywhere.std(axis=0)
        if not self.done.dictionary.normalize:
            mean, deviation = np.zeros(size), np.ones(size)
        return (take(layer, self.corners, b) - mean) / deviation, mean, deviation


DICTIONARIES = {
    "colour": random_dictionary(),
    "grey": random_dictionary(channels=1),
    "not standardised": random_dictionary(normalize=False),
}


@pytest.mark.parametrize("share", [0, 2])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", DICTIONARIES)
def test_the_method_agrees_with_differences_with_decisions_held(kind, case, share):
    """⟨w, J v⟩ by differences equals ⟨Jᵀ w, v⟩, for several v and w."""
    image = make_picture(1, 16, 19)
    done = purify_recorded(image, DICTIONARIES[kind], CASES[case], WHERE, share)
    held = HeldMethod(done)
    assert np.abs(held(image.astype(float)) - done.pixels).max() < 0.51
    for seed in range(3):
        upper, along = normal(image.shape, seed), normal(image.shape, 9 - seed)
        slope = derivative(held, image.astype(float), along.astype(float))
        found = done.vjp(upper)
        assert found.dtype == np.float32
        scale = np.linalg.norm(upper) * np.linalg.norm(slope)
        assert np.sum(found * along) == pytest.approx(np.sum(upper * slope), abs=2e-4 * scale)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("share", [0, 4])
def test_the_recorded_run_has_the_products_bytes(case, share):
    for seed in range(3):
        image, dictionary = make_picture(seed, 16, 19), random_dictionary()
        done = purify_recorded(image, dictionary, CASES[case], WHERE, share)
        expected = purify(image, dictionary, CASES[case], WHERE)
        np.testing.assert_array_equal(done.pixels, expected)


@pytest.mark.parametrize("share", [0, 1])
@pytest.mark.parametrize("how", [{}, {"color": False}, {"normalize": False}], ids=str)
def test_a_complete_orthonormal_dictionary_passes_the_gradient_unchanged(how, share):
    dictionary = complete(3, **how)
    image = make_picture(2, 12, 14).clip(20, 235)
    values = PurifyParameters(localize=False, stride=2, sparsity=dictionary.atoms.shape[1])
    upper = normal(image.shape)
    found = purify_recorded(image, dictionary, values, share=share).vjp(upper)
    np.testing.assert_allclose(found, upper, atol=2e-4)


def test_one_atom_is_a_projection_onto_it():
    """A single patch, not standardised: the gradient of d dᵀ x is d (dᵀ g)."""
    atom = normal((1, 4 * 4 * 3), 5)
    dictionary = Dictionary(atom / np.linalg.norm(atom), 4, normalize=False)
    image = (127 + 90 * np.sign(atom)).astype(np.uint8).reshape(4, 4, 3)
    values = PurifyParameters(localize=False, sparsity=1)
    upper = normal(image.shape)
    done = purify_recorded(image, dictionary, values)
    inside = (done.engine.coding.coded > 0) & (done.engine.coding.coded < 1)
    assert inside.any()
    expected = dictionary.atoms[0] * (dictionary.atoms[0] @ (inside * upper).ravel())
    np.testing.assert_allclose(done.vjp(upper).ravel(), expected, atol=1e-5)


def test_more_atoms_are_held_the_most_correlated_first():
    dictionary, image = random_dictionary(), make_picture(1, 16, 19)
    few, many = (
        purify_recorded(image, dictionary, PurifyParameters(localize=False, sparsity=2), share=u)
        for u in (0, 4)
    )
    (codes,) = few.engine.recorder.layers()
    (wide,) = many.engine.recorder.layers()
    np.testing.assert_array_equal(codes.held, codes.atoms)
    assert wide.held.shape == (len(codes.held), 8)
    assert all(len(set(row)) == 8 for row in wide.held.tolist())
    np.testing.assert_array_equal(wide.held[:, 0], codes.atoms[:, 0])


def test_patches_with_few_atoms_hold_few():
    dictionary, image = random_dictionary(), make_picture(1, 16, 19)
    values = PurifyParameters(localize=False, sparsity=4, min_correlation=1.5)
    (codes,) = purify_recorded(image, dictionary, values, share=3).engine.recorder.layers()
    counts = (codes.coefficients != 0).sum(axis=1)
    assert len(set(counts)) > 1
    np.testing.assert_array_equal((codes.held >= 0).sum(axis=1), 3 * np.maximum(counts, 1))


def test_dependent_atoms_are_held_once():
    """With every atom twice, the projection is the same as with each once."""
    single = random_dictionary()
    double = Dictionary(np.repeat(single.atoms, 2, axis=0), single.patch_size)
    image, upper = make_picture(1, 16, 19), normal((16, 19, 3))
    values = PurifyParameters(localize=False, sparsity=1, stride=3)
    once = purify_recorded(image, single, values, share=2).vjp(upper)
    twice = purify_recorded(image, double, values, share=4).vjp(upper)
    np.testing.assert_allclose(twice, once, atol=1e-5)


def smooth_atoms(count: int, side: int) -> Dictionary:
    """Random smooth patches, which are almost combinations of a few, as learned atoms are."""
    rows, columns = np.indices((side, side))
    decay = np.exp(-1.0 * (rows + columns))[:, :, None]
    waves = np.cos(np.pi * np.outer(np.arange(side) + 0.5, np.arange(side)) / side)
    spectra = normal((count, side, side, 3)) * decay
    patches = np.einsum("iu,jv,nuvc->nijc", waves, waves, spectra).reshape(count, -1)
    atoms = (patches / np.linalg.norm(patches, axis=1, keepdims=True)).astype(np.float32)
    return Dictionary(atoms, side, normalize=False)


def test_atoms_that_almost_depend_on_each_other_make_no_large_gradient():
    """However many atoms are held, the gradient is a projection: shorter, and equal twice."""
    dictionary = smooth_atoms(96, 8)
    image = make_picture(3, 8, 8).clip(100, 150)
    done = purify_recorded(
        image, dictionary, PurifyParameters(localize=False, sparsity=24), share=4
    )
    assert (done.engine.recorder.layers()[0].held >= 0).sum() == 96
    upper = normal(image.shape)
    once = done.vjp(upper)
    assert 0.1 * np.linalg.norm(upper) < np.linalg.norm(once) < np.linalg.norm(upper)
    np.testing.assert_allclose(done.vjp(once), once, atol=0.005 * np.abs(once).max())


def test_both_loops_agree():
    if loops.NUMBA is None:
        pytest.skip("numba is not installed")
    dictionary, image = random_dictionary(), make_picture(4, 16, 19)
    upper = normal(image.shape)
    found = []
    for each in (loops.NUMPY, loops.NUMBA):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loops, "fastest", each)
            values = PurifyParameters(stride=2, sparsity=3)
            found.append(purify_recorded(image, dictionary, values, WHERE, share=3).vjp(upper))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_theta_mixes_the_gradients_of_the_code_and_of_the_background():
    dictionary, image = random_dictionary(), make_picture(1, 16, 19)
    upper = normal(image.shape)

    def pulled(theta: float) -> np.ndarray:
        values = PurifyParameters(localize=False, sparsity=2, theta=theta)
        return purify_recorded(image, dictionary, values).vjp(upper)

    filtered = bilateral_vjp(image, upper, 9, 80, 80)
    np.testing.assert_allclose(pulled(0), filtered, atol=1e-5)
    np.testing.assert_allclose(pulled(0.3), 0.3 * pulled(1) + 0.7 * filtered, atol=1e-4)
