"""The public coder: closed-form answers, scikit-learn's results, and all kinds of arrays."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from scipy.sparse import issparse
from sklearn.linear_model import orthogonal_mp

import rsparse
from rsparse import InputError
from rsparse.coder import pursuit
from tests.atoms import planted, random_atoms

pytestmark = pytest.mark.usefixtures("each_engine")
FLOATS = (np.float32, np.float64)


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("sparsity", [1, 5, 24])
def test_an_orthonormal_dictionary_keeps_the_k_largest(kind, sparsity):
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((24, 24)))[0].astype(kind)
    signals = np.random.default_rng(1).standard_normal((300, 24)).astype(kind)
    projected = signals @ basis.T
    smallest = np.sort(np.abs(projected), axis=1)[:, -sparsity, None]
    expected = np.where(np.abs(projected) >= smallest, projected, 0)
    codes = rsparse.omp(signals, basis, n_nonzero_coefs=sparsity)
    assert codes.dtype == kind
    tolerance = 1e-5 if kind == np.float32 else 1e-12
    np.testing.assert_allclose(codes, expected, atol=tolerance)


def test_an_orthonormal_dictionary_and_a_threshold_are_hard_thresholding():
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((24, 24)))[0]
    signals = np.random.default_rng(1).standard_normal((300, 24))
    projected = signals @ basis.T
    codes = rsparse.omp(signals, basis, threshold=0.7)
    np.testing.assert_allclose(codes, np.where(np.abs(projected) > 0.7, projected, 0), atol=1e-12)


def test_an_orthonormal_dictionary_and_a_tolerance_keep_the_fewest_that_suffice():
    basis = np.eye(4)
    signal = np.array([4.0, 3, 2, 1])  # squared norms left: 30, 14, 5, 1, 0
    for tol, kept in ((30, 0), (14, 1), (13.9, 2), (5, 2), (4, 3), (1, 3), (0.5, 4)):
        codes = rsparse.omp(signal, basis, tol=tol)
        np.testing.assert_allclose(codes, np.where(np.arange(4) < kept, signal, 0), atol=1e-12)


@pytest.mark.parametrize("norms", [(1, 1), (0.01, 100)])
def test_planted_codes_are_found(norms):
    atoms = random_atoms(128, 64, norms=norms)
    codes = planted(atoms, 4, 300) / np.linalg.norm(atoms, axis=1)
    found = rsparse.omp(codes @ atoms, atoms, n_nonzero_coefs=4)
    same = ((found != 0) == (codes != 0)).all(axis=1)
    assert same.mean() > 0.97
    np.testing.assert_allclose(found[same], codes[same], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("k", "m", "sparsity"), [(96, 48, 10), (96, 48, 48), (40, 64, 40)])
def test_supports_and_residuals_are_scikit_learns(k, m, sparsity):
    """Up to the dimension, in float64."""
    atoms = random_atoms(k, m)
    signals = np.random.default_rng(2).standard_normal((60, m))
    theirs = orthogonal_mp(atoms.T, signals.T, n_nonzero_coefs=sparsity).T
    ours = rsparse.omp(signals, atoms, n_nonzero_coefs=sparsity)
    np.testing.assert_array_equal(ours != 0, theirs != 0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours @ atoms, theirs @ atoms, atol=1e-10)


def test_a_tolerance_means_what_it_means_in_scikit_learn():
    atoms = random_atoms(96, 48)
    signals = np.random.default_rng(2).standard_normal((60, 48))
    theirs = orthogonal_mp(atoms.T, signals.T, tol=3.0).T
    ours = rsparse.omp(signals, atoms, tol=3.0)
    np.testing.assert_array_equal(ours != 0, theirs != 0)
    left = np.square(signals - ours @ atoms).sum(axis=1)
    assert (left <= 3).all()


def test_all_limits_hold_and_the_default_is_a_tenth_of_the_dimension():
    atoms = random_atoms(96, 40)
    signals = np.random.default_rng(2).standard_normal((60, 40))
    few = rsparse.omp(signals, atoms, n_nonzero_coefs=2, tol=1e-9)
    np.testing.assert_array_equal((few != 0).sum(axis=1), 2)
    np.testing.assert_array_equal((rsparse.omp(signals, atoms) != 0).sum(axis=1), 4)


def test_longer_atoms_are_not_preferred_and_zero_atoms_are_never_chosen():
    atoms = np.array([[100.0, 0, 0], [0, 0.01, 0], [0, 0, 0], [0, 0, 3]])
    codes = rsparse.omp(np.array([[1.0, 2, 3]]), atoms, n_nonzero_coefs=2)
    np.testing.assert_allclose(codes, [[0, 200, 0, 1]])


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_atoms_of_any_magnitude_are_usable(scale):
    atoms = random_atoms(64, 32).astype(np.float32)
    signals = np.random.default_rng(0).standard_normal((20, 32)).astype(np.float32)
    plain = rsparse.omp(signals, atoms, n_nonzero_coefs=4)
    scaled = rsparse.omp(signals, (atoms * scale).astype(np.float32), n_nonzero_coefs=4)
    np.testing.assert_allclose(scaled * np.float32(scale), plain, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1, 1e30])
def test_codes_scale_with_the_signals(scale):
    atoms = random_atoms(64, 32).astype(np.float32)
    signals = np.random.default_rng(0).standard_normal((20, 32)).astype(np.float32)
    plain = rsparse.omp(signals, atoms, tol=4)
    scaled = rsparse.omp((signals * scale).astype(np.float32), atoms, tol=4 * scale**2)
    np.testing.assert_allclose(scaled / np.float32(scale), plain, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_tensors_give_tensors_of_their_type(kind):
    atoms = torch.from_numpy(random_atoms(64, 32)).to(kind)
    signals = torch.randn(20, 32, generator=torch.Generator().manual_seed(0)).to(kind)
    codes = rsparse.omp(signals.requires_grad_(), atoms, n_nonzero_coefs=5)
    assert codes.dtype == kind
    assert codes.device == signals.device
    exact = signals.detach().double().numpy(), atoms.double().numpy()
    wide = kind in (torch.float64, torch.float32)
    expected = rsparse.omp(*exact, n_nonzero_coefs=5)
    np.testing.assert_allclose(codes.double().numpy(), expected, atol=1e-5 if wide else 3e-2)


@pytest.mark.parametrize("kind", [np.float16, np.int64, np.uint8, bool])
def test_short_and_whole_numbers(kind):
    signals = np.random.default_rng(0).integers(0, 2, (20, 32)).astype(kind)
    codes = rsparse.omp(signals, random_atoms(64, 32), n_nonzero_coefs=5)
    assert codes.dtype == (np.float16 if kind == np.float16 else np.float64)
    expected = rsparse.omp(signals.astype(float), random_atoms(64, 32), n_nonzero_coefs=5)
    np.testing.assert_allclose(codes.astype(float), expected, atol=2e-3)


def test_sparse_results_hold_the_same_numbers():
    atoms = random_atoms(64, 32)
    signals = np.random.default_rng(0).standard_normal((20, 32))
    signals[3] = 0
    dense = rsparse.omp(signals, atoms, tol=5)
    compressed = rsparse.omp(signals, atoms, tol=5, sparse=True)
    assert issparse(compressed)
    assert compressed.format == "csr"
    assert compressed.has_sorted_indices
    np.testing.assert_array_equal(compressed.toarray(), dense)
    tensors = torch.from_numpy(signals), torch.from_numpy(atoms)
    of_torch = rsparse.omp(*tensors, tol=5, sparse=True)
    assert of_torch.layout == torch.sparse_csr
    np.testing.assert_array_equal(of_torch.to_dense().numpy(), dense)


@pytest.mark.parametrize("sparse", [False, True])
def test_one_signal_and_none(sparse):
    atoms = random_atoms(64, 32)
    one = rsparse.omp(atoms[5], atoms, n_nonzero_coefs=3, sparse=sparse)
    assert one.shape == ((1, 64) if sparse else (64,))
    none = rsparse.omp(np.zeros((0, 32)), atoms, sparse=sparse)
    assert none.shape == (0, 64)


def test_the_torch_pursuit_of_other_devices_agrees(monkeypatch):
    atoms = torch.from_numpy(random_atoms(96, 48, norms=(0.1, 10)))
    signals = torch.randn(70, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for limits in ({"n_nonzero_coefs": 48}, {"tol": 3.0}, {"threshold": 0.8}):
        expected = rsparse.omp(signals, atoms, **limits)
        with monkeypatch.context() as patch:
            patch.setattr(pursuit, "_on_cpu", lambda *given: pursuit._on_device(*given[:4]))
            codes = rsparse.omp(signals, atoms, **limits)
            compressed = rsparse.omp(signals, atoms, **limits, sparse=True)
        np.testing.assert_array_equal(codes != 0, expected != 0)
        np.testing.assert_allclose(codes, expected, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(compressed.to_dense(), codes)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_keeps_its_tensors():
    atoms = torch.from_numpy(random_atoms(96, 48)).cuda()
    signals = torch.randn(70, 48, dtype=torch.float64).cuda()
    codes = rsparse.omp(signals, atoms, n_nonzero_coefs=10)
    assert codes.device == signals.device
    expected = rsparse.omp(signals.cpu(), atoms.cpu(), n_nonzero_coefs=10)
    np.testing.assert_allclose(codes.cpu(), expected, atol=1e-9)


@pytest.mark.parametrize("size", [1, 300, 1 << 22])
def test_blocks_and_threads_change_nothing(monkeypatch, size):
    atoms = random_atoms(64, 32).astype(np.float32)
    signals = np.random.default_rng(0).standard_normal((500, 32)).astype(np.float32)
    expected = rsparse.omp(signals, atoms, n_nonzero_coefs=6)
    monkeypatch.setattr(pursuit, "_NUMBERS", size)
    found = rsparse.omp(signals, atoms, n_nonzero_coefs=6, threads=2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_memory_beside_a_sparse_result_does_not_grow():
    atoms = random_atoms(512, 64).astype(np.float32)
    peaks = []
    for n in (120_000, 240_000):
        signals = np.ones((n, 64), np.float32)
        tracemalloc.start()
        rsparse.omp(signals, atoms, n_nonzero_coefs=1, sparse=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    dense = 120_000 * 512 * 4
    assert peaks[1] - peaks[0] < dense / 20


EYE = np.eye(3)


@pytest.mark.parametrize(
    ("arguments", "options", "line"),
    [
        (
            (np.ones((2, 4)), EYE),
            {},
            "dictionary: expected atoms of 4 numbers as the signals, got 3",
        ),
        (
            (np.ones((2, 3, 1)), EYE),
            {},
            "signals: expected an array of shape (n, m) or (m,), got (2, 3, 1)",
        ),
        (
            (np.ones((2, 3)), np.ones(3)),
            {},
            "dictionary: expected an array of shape (k, m), got (3,)",
        ),
        (
            (np.ones((2, 3)), np.ones((0, 3))),
            {},
            "dictionary: expected at least one atom, got none",
        ),
        ((np.array([[1, np.nan, 2]]), EYE), {}, "signals: contains numbers that are not finite"),
        (
            (np.ones((2, 3)), np.full((3, 3), np.inf)),
            {},
            "dictionary: contains numbers that are not finite",
        ),
        (
            (torch.tensor([[1, float("inf"), 2]]), torch.eye(3)),
            {},
            "signals: contains numbers that are not finite",
        ),
        ((np.ones((2, 3)) * 1j, EYE), {}, "signals: expected an array of real numbers"),
        (([["a", "b", "c"]], EYE), {}, "signals: expected an array of real numbers"),
        (([[1, 2, 3], [1]], EYE), {}, "signals: expected an array of real numbers"),
        (
            (torch.ones(2, 3), EYE),
            {},
            "dictionary: expected a tensor on cpu as the signals, got an array",
        ),
        (
            (np.ones((2, 3)), torch.eye(3)),
            {},
            "dictionary: expected an array as the signals, got a tensor on cpu",
        ),
        (
            (torch.eye(3).to_sparse(), torch.eye(3)),
            {},
            "signals: expected a dense tensor of real numbers",
        ),
        (
            (np.ones((2, 3)), EYE),
            {"n_nonzero_coefs": 4},
            "n_nonzero_coefs: expected 1 to 3 for 3 atoms of 3 numbers, got 4",
        ),
        (
            (np.ones((2, 3)), EYE),
            {"n_nonzero_coefs": 0},
            "n_nonzero_coefs: expected 1 to 3 for 3 atoms of 3 numbers, got 0",
        ),
        (
            (np.ones((2, 3)), EYE),
            {"n_nonzero_coefs": 1.5},
            "n_nonzero_coefs: expected a whole number, got 1.5",
        ),
        ((np.ones((2, 3)), EYE), {"tol": -1}, "tol: expected a number of 0 or more, got -1"),
        (
            (np.ones((2, 3)), EYE),
            {"threshold": float("nan")},
            "threshold: expected a number of 0 or more, got nan",
        ),
        ((np.ones((2, 3)), EYE), {"threads": 0}, "threads: expected 1 or more, got 0"),
    ],
)
def test_what_cannot_be_coded_is_refused_in_one_line(arguments, options, line):
    with pytest.raises(InputError) as caught:
        rsparse.omp(*arguments, **options)
    assert str(caught.value) == line
