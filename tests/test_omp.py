"""OMP: closed-form results, and agreement with scikit-learn in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import orthogonal_mp_gram

from rsparse.core import omp as omp_module
from rsparse.core.omp import gram_matrix, omp, reconstruct
from rsparse.core.patches import positions, take, z_score
from rsparse.store.images import to_unit
from tests.conftest import make_picture

pytestmark = pytest.mark.usefixtures("each_engine")


def unit(atoms: np.ndarray) -> np.ndarray:
    return (atoms / np.linalg.norm(atoms, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def overcomplete() -> np.ndarray:
    """96 atoms of 48 numbers, half of them patches, as in a learned dictionary."""
    rng = np.random.default_rng(5)
    patches = z_score(take(to_unit(make_picture(8)), rng.integers(40, size=(48, 2)), 4))
    return unit(np.concatenate([rng.standard_normal((48, 48)), patches]))


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    pictures = [to_unit(make_picture(seed)) for seed in range(3)]
    return np.concatenate([z_score(take(x, positions(x.shape[:2], 4, 2), 4)) for x in pictures])


def orthonormal(size: int, seed: int = 0) -> np.ndarray:
    square = np.random.default_rng(seed).standard_normal((size, size))
    return np.linalg.qr(square)[0].astype(np.float32)


@pytest.mark.parametrize("sparsity", [1, 3, 8, 16])
def test_an_orthonormal_dictionary_keeps_the_k_largest(sparsity):
    """The paper's eq. 8: S_K(x) = H_K(Ψᵀx)."""
    dictionary = orthonormal(16)
    signals = np.random.default_rng(1).standard_normal((500, 16)).astype(np.float32)
    projected = signals @ dictionary.T
    kept = np.argsort(-np.abs(projected), axis=1)[:, :sparsity]
    expected = np.zeros_like(projected)
    np.put_along_axis(expected, kept, np.take_along_axis(projected, kept, axis=1), axis=1)
    atoms, coefficients = omp(signals, dictionary, sparsity)
    assert (atoms == kept)[np.abs(coefficients) > 1e-4].all()  # and in the order they were chosen
    np.testing.assert_allclose(reconstruct(atoms, coefficients, dictionary), expected @ dictionary,
                               atol=1e-5)  # fmt: skip


def test_a_complete_orthonormal_dictionary_gives_the_signal_back():
    signals = np.random.default_rng(1).standard_normal((300, 27)).astype(np.float32)
    dictionary = orthonormal(27)
    again = reconstruct(*omp(signals, dictionary, 27), dictionary)
    np.testing.assert_allclose(again, signals, atol=2e-5)


def test_a_planted_sparse_signal_is_found():
    rng = np.random.default_rng(2)
    dictionary = unit(rng.standard_normal((128, 64)))
    planted = np.stack([rng.choice(128, 4, replace=False) for _ in range(400)])
    weights = rng.choice([-1, 1], (400, 4)) * rng.uniform(1, 3, (400, 4))
    signals = np.einsum("nk,nkm->nm", weights, dictionary[planted]).astype(np.float32)
    atoms, coefficients = omp(signals, dictionary, 4)
    found = [set(a) == set(p) for a, p in zip(atoms, planted, strict=True)]
    assert np.mean(found) > 0.95
    recovered = reconstruct(atoms, coefficients, dictionary)[found]
    np.testing.assert_allclose(recovered, signals[found], atol=1e-4)


@pytest.mark.parametrize("sparsity", [1, 2, 5, 10])
def test_agrees_with_scikit_learn_in_float64(patches, overcomplete, sparsity):
    exact = overcomplete.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    signals = patches.astype(np.float64)
    expected = orthogonal_mp_gram(exact @ exact.T, exact @ signals.T, n_nonzero_coefs=sparsity).T
    atoms, coefficients = omp(patches, overcomplete, sparsity)
    supports = [set(a[c != 0]) for a, c in zip(atoms, coefficients, strict=True)]
    same = [a == set(np.flatnonzero(e)) for a, e in zip(supports, expected, strict=True)]
    assert len(patches) > 1000
    assert np.mean(same) >= 0.999
    ours = signals - reconstruct(atoms, coefficients, overcomplete)
    theirs = signals - expected @ exact
    scale = np.linalg.norm(signals, axis=1)
    difference = np.linalg.norm(ours, axis=1) - np.linalg.norm(theirs, axis=1)
    assert np.abs(difference[same] / scale[same]).max() < 1e-4


def test_the_residual_never_grows_with_sparsity(patches, overcomplete):
    norms = [
        np.linalg.norm(patches - reconstruct(*omp(patches, overcomplete, k), overcomplete), axis=1)
        for k in (1, 2, 4, 8, 16, 48)
    ]
    for fewer, more in pairwise(norms):
        assert (more <= fewer + 1e-4).all()
    assert norms[-1].max() < 1e-2


def test_the_residual_is_orthogonal_to_the_chosen_atoms(patches, overcomplete):
    atoms, coefficients = omp(patches, overcomplete, 6)
    residual = patches - reconstruct(atoms, coefficients, overcomplete)
    assert np.abs(np.einsum("nm,nkm->nk", residual, overcomplete[atoms])).max() < 1e-4


def test_an_atom_is_chosen_once(patches, overcomplete):
    atoms, coefficients = omp(patches, overcomplete, 20)
    for chosen, weights in zip(atoms, coefficients, strict=True):
        used = chosen[weights != 0]
        assert len(set(used)) == len(used)


def test_zero_and_tiny_signals_have_zero_or_finite_codes(overcomplete):
    signals = np.zeros((4, 48), dtype=np.float32)
    signals[1] = 1e-30
    signals[2] = 1e-12 * overcomplete[7]
    signals[3] = 1e8 * overcomplete[7]
    atoms, coefficients = omp(signals, overcomplete, 5)
    assert np.isfinite(coefficients).all()
    assert (coefficients[0] == 0).all()
    assert atoms[3, 0] == 7
    assert coefficients[3, 0] == pytest.approx(1e8, rel=1e-5)
    assert np.abs(coefficients[3, 1:]).max() < 1e3


def test_exactly_represented_signals_stop_early(overcomplete):
    _, coefficients = omp(overcomplete[:40].copy(), overcomplete, 4)
    np.testing.assert_allclose(coefficients[:, 0], 1, atol=1e-5)
    assert np.abs(coefficients[:, 1:]).max() < 1e-4


def test_duplicate_atoms_do_no_harm(patches, overcomplete):
    doubled = np.concatenate([overcomplete, overcomplete, -overcomplete[:5]])
    atoms, coefficients = omp(patches, doubled, 8)
    assert np.isfinite(coefficients).all()
    assert np.abs(coefficients).max() < 1e3
    expected = reconstruct(*omp(patches, overcomplete, 8), overcomplete)
    again = reconstruct(atoms, coefficients, doubled)
    close = np.abs(again - expected).max(axis=1) < 1e-2
    assert close.mean() > 0.999


def test_nearly_equal_atoms_give_finite_bounded_codes(patches, overcomplete):
    noise = np.random.default_rng(0).standard_normal(overcomplete.shape) * 1e-4
    nearly = np.concatenate([overcomplete, unit(overcomplete + noise)])
    residual = patches - reconstruct(*omp(patches, nearly, 16), nearly)
    assert (np.linalg.norm(residual, axis=1) <= np.linalg.norm(patches, axis=1) + 1e-4).all()


@pytest.mark.parametrize(("n_atoms", "sparsity"), [(5, 9), (1, 1), (1, 4), (96, 60)])
def test_more_steps_than_atoms_or_dimensions(patches, overcomplete, n_atoms, sparsity):
    dictionary = overcomplete[:n_atoms]
    atoms, coefficients = omp(patches[:50], dictionary, sparsity)
    assert atoms.shape == coefficients.shape == (50, sparsity)
    exact = np.linalg.lstsq(dictionary.T.astype(float), patches[:50].T.astype(float), rcond=None)
    if n_atoms <= 5:
        expected = (dictionary.T @ exact[0]).T
        np.testing.assert_allclose(
            reconstruct(atoms, coefficients, dictionary), expected, atol=1e-4
        )


def test_a_dictionary_of_low_rank(patches, overcomplete):
    dictionary = unit(np.random.default_rng(0).standard_normal((40, 3)) @ overcomplete[:3])
    atoms, coefficients = omp(patches, dictionary, 10)
    assert ((coefficients != 0).sum(axis=1) <= 4).all()  # rank 3, and one more by rounding
    again = reconstruct(atoms, coefficients, dictionary)
    assert (np.linalg.norm(again, axis=1) <= np.linalg.norm(patches, axis=1) * 1.01).all()


def test_no_signals(overcomplete):
    atoms, coefficients = omp(np.empty((0, 48), dtype=np.float32), overcomplete, 3)
    assert atoms.shape == coefficients.shape == (0, 3)
    assert reconstruct(atoms, coefficients, overcomplete).shape == (0, 48)


@pytest.mark.parametrize("block", [1, 7, 64, 100_000])
def test_codes_do_not_depend_on_the_blocks(monkeypatch, patches, overcomplete, block):
    signals = patches[:200]
    atoms, coefficients = omp(signals, overcomplete, 5)
    monkeypatch.setattr(omp_module, "BLOCK", block)
    again = omp(signals, overcomplete, 5, gram_matrix(overcomplete))
    np.testing.assert_array_equal(again[0], atoms)
    np.testing.assert_allclose(again[1], coefficients, atol=1e-4)


def test_codes_are_the_same_at_any_order_and_are_repeatable(patches, overcomplete):
    first = omp(patches, overcomplete, 5)
    second = omp(patches, overcomplete, 5)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    turned = omp(patches[::-1].copy(), overcomplete, 5)
    assert (turned[0][::-1] == first[0]).all(axis=1).mean() > 0.999


@pytest.mark.parametrize("threads", [2, 3])
def test_codes_are_the_same_bytes_for_any_number_of_threads(patches, overcomplete, threads):
    expected = omp(patches, overcomplete, 4)
    found = omp(patches, overcomplete, 4, threads=threads)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("tolerance", [0.5, 2.0, 1e9])
def test_a_tolerance_takes_as_few_atoms_as_reach_it(patches, overcomplete, tolerance):
    """The codes are those of K steps, cut off once the residual is small enough."""
    atoms, coefficients = omp(patches, overcomplete, 8, tolerance=tolerance)
    counts = (coefficients != 0).sum(axis=1)
    rest = [np.linalg.norm(patches, axis=1)]
    for sparsity in range(1, 9):
        codes = omp(patches, overcomplete, sparsity)
        rest.append(np.linalg.norm(patches - reconstruct(*codes, overcomplete), axis=1))
        cut = counts == sparsity
        np.testing.assert_array_equal(atoms[cut, :sparsity], codes[0][cut])
        np.testing.assert_allclose(coefficients[cut, :sparsity], codes[1][cut], atol=1e-4)
    small = np.array(rest) <= tolerance
    expected = np.where(small.any(axis=0), small.argmax(axis=0), 8)
    assert (counts == expected).mean() > 0.999  # rounding may move a norm past the tolerance
    assert len(set(counts)) > 1 or tolerance == 1e9


def test_a_tolerance_agrees_with_scikit_learn(patches, overcomplete):
    exact = overcomplete.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    signals = patches[np.linalg.norm(patches, axis=1) > 2].astype(np.float64)
    expected = orthogonal_mp_gram(
        exact @ exact.T, exact @ signals.T, tol=4, norms_squared=np.square(signals).sum(axis=1)
    ).T
    atoms, coefficients = omp(signals.astype(np.float32), overcomplete, 48, tolerance=2)
    same = [
        set(chosen[weights != 0]) == set(np.flatnonzero(row))
        for chosen, weights, row in zip(atoms, coefficients, expected, strict=True)
    ]
    assert np.mean(same) >= 0.999


def test_of_equal_atoms_the_first_is_chosen():
    dictionary = np.repeat(np.eye(20, dtype=np.float32), 3, axis=0)
    signals = np.eye(20, dtype=np.float32) * np.array([[-1], [1]] * 10)
    atoms, coefficients = omp(signals, dictionary, 2)
    np.testing.assert_array_equal(atoms[:, 0], 3 * np.arange(20))
    np.testing.assert_allclose(coefficients[:, 0], [-1, 1] * 10, atol=1e-6)
    np.testing.assert_allclose(coefficients[:, 1], 0, atol=1e-6)


def test_nan_harms_its_own_signal_only(patches, overcomplete):
    """The earlier stages block NaN, but a kernel must never read past its arrays."""
    poisoned = patches[:9].copy()
    poisoned[4] = np.nan
    atoms, coefficients = omp(poisoned, overcomplete, 3)
    assert ((atoms >= 0) & (atoms < len(overcomplete))).all()
    clean = np.arange(9) != 4
    np.testing.assert_array_equal(coefficients[clean], omp(patches[:9], overcomplete, 3)[1][clean])
