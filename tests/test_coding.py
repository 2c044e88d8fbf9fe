"""Sparse coding of a whole image: equal to the separate steps, on any engine or thread count."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.cpu import loops, numpy_loops
from rsparse.core.engines.cpu.coding import sparse_code
from rsparse.core.omp import omp, reconstruct
from rsparse.core.patches import positions, take, z_score
from rsparse.store.images import to_unit
from tests.conftest import make_picture

pytestmark = pytest.mark.usefixtures("each_engine")


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return to_unit(make_picture(4, 61, 70))


def random_dictionary(b: int, channels: int, **how: bool) -> Dictionary:
    atoms = np.random.default_rng(3).standard_normal((96, b * b * channels))
    atoms = (atoms / np.linalg.norm(atoms, axis=1, keepdims=True)).astype(np.float32)
    return Dictionary(atoms, b, color=channels == 3, **how)


def step_by_step(x, dictionary, sparsity, stride, mask=None):
    """Patches, z-score, OMP, rescaling and averaging, as written in the paper."""
    b, (height, width, channels) = dictionary.patch_size, x.shape
    every = take(x, positions((height, width), b, stride), b)
    mean, deviation = every.mean(axis=0, dtype=float), every.std(axis=0, dtype=float)
    signals = z_score(every)
    coded = reconstruct(*omp(signals, dictionary.atoms, sparsity), dictionary.atoms)
    sums, counts = np.zeros(x.shape), np.zeros((height, width))
    touched = {tuple(corner) for corner in positions((height, width), b, stride, mask)}
    corners = positions((height, width), b, stride)
    for patch, corner in zip(coded * deviation + mean, corners, strict=True):
        if tuple(corner) in touched:
            where = np.s_[corner[0] : corner[0] + b, corner[1] : corner[1] + b]
            sums[where] += patch.reshape(b, b, channels)
            counts[where] += 1
    return sums / np.maximum(counts, 1)[:, :, None], counts > 0


@pytest.mark.parametrize("stride", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("sparsity", [1, 2, 5, 9])
def test_the_folded_z_score_is_the_z_score(x, stride, sparsity):
    dictionary = random_dictionary(8, 3)
    coded, covered = sparse_code(x, dictionary, sparsity, stride)
    expected, expected_covered = step_by_step(x, dictionary, sparsity, stride)
    np.testing.assert_array_equal(covered, expected_covered)
    close = np.abs(coded - expected).max(axis=2) < 2e-4
    assert close.mean() > 0.995  # a patch whose two best atoms are equally good may differ


def test_only_patches_that_touch_the_mask_are_coded(x):
    mask = np.zeros(x.shape[:2], dtype=bool)
    mask[20:30, 41:55] = True
    dictionary = random_dictionary(8, 3)
    coded, covered = sparse_code(x, dictionary, 3, 2, mask)
    expected, expected_covered = step_by_step(x, dictionary, 3, 2, mask)
    np.testing.assert_array_equal(covered, expected_covered)
    assert (coded[~covered] == 0).all()
    np.testing.assert_allclose(coded, expected, atol=2e-4)


def test_an_empty_mask_codes_nothing(x):
    nothing = np.zeros(x.shape[:2], dtype=bool)
    coded, covered = sparse_code(x, random_dictionary(8, 3), 3, 2, nothing)
    assert (coded == 0).all()
    assert not covered.any()


@pytest.mark.parametrize("normalize", [True, False])
def test_grey_atoms_code_each_channel_by_itself(x, normalize):
    dictionary = random_dictionary(6, 1, normalize=normalize)
    coded, _ = sparse_code(x, dictionary, 4, 3)
    for channel in range(3):
        alone = np.repeat(x[:, :, [channel]], 3, axis=2)
        np.testing.assert_allclose(
            sparse_code(alone, dictionary, 4, 3)[0][:, :, 0], coded[:, :, channel], atol=1e-6
        )


@pytest.mark.parametrize("value", [0.0, 0.2, 1.0])
def test_a_flat_image_is_given_back(value):
    flat = np.full((30, 40, 3), value, dtype=np.float32)
    flat[:, :, 1] = 1 - value
    coded, _ = sparse_code(flat, random_dictionary(8, 3), 5, 2)
    np.testing.assert_allclose(coded, flat, atol=1e-6)


def test_a_faint_pattern_on_a_bright_image_survives(x):
    """Deviations far smaller than the mean must not be lost to rounding in the folded z-score."""
    faint = (0.9 + 1e-3 * (x - 0.5)).astype(np.float32)
    square = np.linalg.qr(np.random.default_rng(0).standard_normal((192, 192)))[0]
    complete = Dictionary(square.astype(np.float32), 8)
    coded, _ = sparse_code(faint, complete, 192, 4)
    np.testing.assert_allclose(coded, faint, atol=2e-7 * 10)


def test_any_number_of_threads_gives_the_same_bytes():
    x = to_unit(make_picture(2, 150, 160))
    dictionary = random_dictionary(8, 3)
    one = sparse_code(x, dictionary, 3, 1)[0]
    for threads in (2, 5):
        np.testing.assert_array_equal(sparse_code(x, dictionary, 3, 1, threads=threads)[0], one)


def test_numba_is_used_where_it_is_installed():
    assert loops.NUMBA is not None
    assert (loops.NUMBA.name, loops.NUMPY.name) == ("numba", "numpy")


@pytest.mark.parametrize("numbers", [1, 3000, 10**6])
def test_how_many_signals_numpy_computes_together_does_not_matter(monkeypatch, numbers):
    dictionary = random_dictionary(4, 3)
    signals = np.random.default_rng(1).standard_normal((70, 48)).astype(np.float32)
    results = []
    for together in (numbers, 1 << 21):
        monkeypatch.setattr(numpy_loops, "_TOGETHER", together)
        codes = np.zeros((70, 5), np.int32), np.zeros((70, 5), np.float32)
        product = signals @ dictionary.atoms.T
        numpy_loops.pursue(product, dictionary.gram, 5, np.empty(0), 0.0, *codes)
        results.append(codes)
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.8])
def test_a_threshold_keeps_the_larger_coefficients_of_an_orthonormal_dictionary(threshold):
    x = to_unit(make_picture(4, 24, 32))  # a whole number of 4×4 patches
    atoms = np.linalg.qr(np.random.default_rng(2).standard_normal((48, 48)))[0].astype(np.float32)
    coded, _ = sparse_code(
        x, Dictionary(atoms, 4, normalize=False), 48, 4, min_correlation=threshold
    )
    corners = positions((24, 32), 4, 4)
    coefficients = take(x, corners, 4) @ atoms.T
    coefficients[np.abs(coefficients) <= threshold] = 0
    np.testing.assert_allclose(take(coded, corners, 4), coefficients @ atoms, atol=1e-5)


def test_a_threshold_leaves_no_atom_to_a_patch_without_a_strong_one(x):
    dictionary = random_dictionary(8, 3)
    assert (sparse_code(x, dictionary, 5, 3, min_correlation=1e6)[0].std(axis=(0, 1)) < 0.1).all()
    by_k, _ = sparse_code(x, dictionary, 3, 3)
    np.testing.assert_array_equal(sparse_code(x, dictionary, 3, 3, min_correlation=1e-9)[0], by_k)
