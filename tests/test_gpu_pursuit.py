"""OMP in torch on the CPU: closed-form answers, and the same atoms as without torch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rsparse.core.engines.cpu import loops  # noqa: E402
from rsparse.core.engines.torch.pursuit import pursue, weighted_rows  # noqa: E402
from rsparse.core.patches import positions, take, z_score  # noqa: E402
from rsparse.store.images import to_unit  # noqa: E402
from tests.conftest import make_picture  # noqa: E402


def unit(atoms: np.ndarray) -> np.ndarray:
    return (atoms / np.linalg.norm(atoms, axis=1, keepdims=True)).astype(np.float32)


def by_torch(signals, dictionary, sparsity, min_correlation=0.0, device="cpu"):
    correlations = torch.from_numpy(signals @ dictionary.T).to(device)
    gram = torch.from_numpy(dictionary @ dictionary.T).to(device)
    atoms, coefficients = pursue(correlations, gram, sparsity, min_correlation)
    return atoms.cpu().numpy().T, coefficients.cpu().numpy().T


def without_torch(signals, dictionary, sparsity, min_correlation=0.0):
    atoms = np.zeros((len(signals), sparsity), dtype=np.int32)
    coefficients = np.zeros((len(signals), sparsity), dtype=np.float32)
    loops.fastest.pursue(
        signals @ dictionary.T, dictionary @ dictionary.T, sparsity,
        np.empty(0, dtype=np.float32), 0.0, atoms, coefficients, min_correlation,
    )  # fmt: skip
    return atoms, coefficients


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    pictures = [to_unit(make_picture(seed)) for seed in range(8)]
    return np.concatenate([z_score(take(x, positions(x.shape[:2], 4, 1), 4)) for x in pictures])


@pytest.fixture(scope="module")
def atoms(patches) -> np.ndarray:
    """128 atoms, half of them patches, as in a learned dictionary."""
    rng = np.random.default_rng(5)
    return unit(np.concatenate([rng.standard_normal((64, 48)), rng.permutation(patches)[:64]]))


@pytest.mark.parametrize("sparsity", [1, 3, 8])
def test_an_orthonormal_dictionary_keeps_the_k_largest(sparsity):
    square = np.random.default_rng(0).standard_normal((16, 16))
    dictionary = np.linalg.qr(square)[0].astype(np.float32)
    signals = np.random.default_rng(1).standard_normal((500, 16)).astype(np.float32)
    projected = signals @ dictionary.T
    kept = np.argsort(-np.abs(projected), axis=1)[:, :sparsity]
    chosen, coefficients = by_torch(signals, dictionary, sparsity)
    np.testing.assert_array_equal(chosen, kept)
    expected = np.take_along_axis(projected, kept, axis=1)
    np.testing.assert_allclose(coefficients, expected, atol=1e-5)


@pytest.mark.parametrize("sparsity", [1, 2, 5, 10])
def test_the_same_atoms_as_without_torch(patches, atoms, sparsity):
    chosen, coefficients = by_torch(patches, atoms, sparsity)
    expected, expected_coefficients = without_torch(patches, atoms, sparsity)
    same = (chosen == expected).all(axis=1)
    assert same.mean() >= 0.999
    assert np.isfinite(coefficients).all()
    np.testing.assert_allclose(coefficients[same], expected_coefficients[same], atol=2e-3)


@pytest.mark.parametrize(
    ("sparsity", "min_correlation"), [(1, 0), (2, 0), (5, 0), (10, 0), (16, 0.5)]
)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_chooses_the_same_atoms(patches, atoms, sparsity, min_correlation):
    chosen, coefficients = by_torch(patches, atoms, sparsity, min_correlation, "cuda")
    expected, expected_coefficients = without_torch(patches, atoms, sparsity, min_correlation)
    same = (chosen == expected).all(axis=1)
    assert same.mean() >= 0.999
    np.testing.assert_allclose(coefficients[same], expected_coefficients[same], atol=2e-3)


def test_a_signal_of_few_atoms_ends_where_nothing_is_left(atoms):
    signals = (3 * atoms[:20]).astype(np.float32)
    chosen, coefficients = by_torch(signals, atoms, 4)
    np.testing.assert_array_equal(chosen[:, 0], np.arange(20))
    np.testing.assert_allclose(coefficients[:, 0], 3, atol=1e-4)
    np.testing.assert_allclose(coefficients[:, 1:], 0, atol=1e-4)
    chosen, coefficients = by_torch(np.zeros((7, 48), np.float32), atoms, 4)
    assert (chosen == 0).all()
    assert (coefficients == 0).all()


def test_a_signal_that_is_done_early_stays_finite(atoms):
    """It keeps choosing atoms of weight zero until the other signals are done."""
    signals = np.concatenate([9 * atoms[:30], 1e-3 * atoms[30:60], atoms[60:90] + atoms[:30]])
    chosen, coefficients = by_torch(signals.astype(np.float32), atoms, 48)
    rebuilt = np.einsum("nk,nkm->nm", coefficients, atoms[chosen])
    np.testing.assert_allclose(rebuilt, signals, atol=1e-4)


def test_atoms_that_depend_on_each_other_end_the_code():
    """In three dimensions, a fourth atom is always a linear combination of three."""
    rng = np.random.default_rng(2)
    dictionary = unit(rng.standard_normal((9, 3)))
    signals = rng.standard_normal((400, 3)).astype(np.float32)
    chosen, coefficients = by_torch(signals, dictionary, 6)
    assert (coefficients[:, 3:] == 0).all()
    rebuilt = np.einsum("nk,nkm->nm", coefficients, dictionary[chosen])
    np.testing.assert_allclose(rebuilt, signals, atol=1e-4)


def test_twins_and_opposites_are_chosen_as_without_torch():
    """If magnitudes are equal, the first atom wins."""
    rng = np.random.default_rng(3)
    half = unit(rng.standard_normal((20, 12)))
    dictionary = np.concatenate([half, -half, half])
    signals = rng.standard_normal((300, 12)).astype(np.float32)
    correlations = np.concatenate([c := signals @ half.T, -c, c], axis=1)
    gram = torch.from_numpy(dictionary @ dictionary.T)
    chosen, _ = pursue(torch.from_numpy(correlations), gram, 1)
    np.testing.assert_array_equal(chosen[0].numpy(), np.abs(c).argmax(axis=1))


def test_no_signals_are_no_codes(atoms):
    chosen, coefficients = by_torch(np.zeros((0, 48), np.float32), atoms[:1], 1)
    assert chosen.shape == coefficients.shape == (0, 1)


def test_codes_do_not_depend_on_the_other_signals(patches, atoms):
    correlations = torch.from_numpy(patches @ atoms.T)
    gram = torch.from_numpy(atoms @ atoms.T)
    whole = pursue(correlations.clone(), gram, 5)
    for part in (slice(0, 1), slice(1, 700), slice(700, 8192)):
        for all_of_them, alone in zip(
            whole, pursue(correlations[part].clone(), gram, 5), strict=True
        ):
            assert torch.equal(all_of_them[:, part], alone)


def test_weighted_rows_are_sums_of_rows():
    table = torch.arange(12.0).view(4, 3)
    rows, weights = torch.tensor([[0, 3], [1, 1]]), torch.tensor([[1.0, 2.0], [0.5, -0.5]])
    expected = torch.tensor([[18.0, 21.0, 24.0], [0.0, 0.0, 0.0]])
    assert torch.equal(weighted_rows(table, rows, weights), expected)


@pytest.mark.parametrize("min_correlation", [0.5, 2.0, 1e6])
def test_it_stops_at_weak_atoms_as_without_torch(patches, atoms, min_correlation):
    chosen, coefficients = by_torch(patches, atoms, 6, min_correlation)
    expected, expected_coefficients = without_torch(patches, atoms, 6, min_correlation)
    same = (chosen == expected).all(axis=1)
    assert same.mean() > 0.999
    np.testing.assert_allclose(coefficients[same], expected_coefficients[same], atol=1e-3)
    assert (coefficients == 0).any()
