"""The online learner: its sums and descent in closed form, and its convergence."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.core.engines.cpu import loops
from rsparse.core.omp import omp, reconstruct
from rsparse.core.online import LassoLearner, OmpLearner, unit
from rsparse.core.patches import positions, take, z_score
from rsparse.store.images import to_unit
from tests.conftest import make_picture


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    pictures = [to_unit(make_picture(seed)) for seed in range(4)]
    found = [z_score(take(x, positions(x.shape[:2], 4, 1), 4)) for x in pictures]
    return np.random.default_rng(0).permutation(np.concatenate(found))


@pytest.fixture(scope="module")
def start(patches) -> np.ndarray:
    return unit(patches[-32:])


def error(atoms: np.ndarray, patches: np.ndarray, sparsity: int) -> float:
    rest = patches - reconstruct(*omp(patches, atoms, sparsity), atoms)
    return float(np.square(rest).sum() / np.square(patches).sum())


def sums(atoms, patches, sparsity):
    codes = np.zeros((len(patches), len(atoms)))
    chosen, weights = omp(patches, atoms, sparsity)
    np.put_along_axis(codes, chosen.astype(np.intp), weights, axis=1)
    return codes.T @ codes, codes.T @ patches


@pytest.mark.usefixtures("each_engine")
def test_the_sums_are_those_of_the_codes(patches, start):
    a, b = np.zeros((32, 32), np.float32), np.zeros((32, 48), np.float32)
    loops.fastest.add_codes(patches[:500], *omp(patches[:500], start, 3), a, b)
    expected_a, expected_b = sums(start, patches[:500], 3)
    np.testing.assert_allclose(a, expected_a, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(b, expected_b, rtol=1e-4, atol=1e-2)


@pytest.mark.usefixtures("each_engine")
def test_the_descent_is_algorithm_2(patches, start):
    a, b = (x.astype(np.float32) for x in sums(start, patches[:500], 3))
    a[7], a[:, 7], b[7] = 0, 0, 0  # an unused atom
    atoms = start.copy()
    loops.fastest.descend(atoms, a, b)
    expected = start.astype(np.float64)
    for j in range(32):
        if j != 7:
            u = expected[j] + (b[j] - a[j] @ expected) / a[j, j]
            expected[j] = u / np.linalg.norm(u)
    np.testing.assert_allclose(atoms, expected, atol=1e-4)
    np.testing.assert_array_equal(atoms[7], start[7])


def test_an_atom_used_alone_becomes_the_mean_direction_of_its_patches():
    """With K = 1, the learner does gain-shape clustering: one direction per atom."""
    direction = unit(np.random.default_rng(0).standard_normal((1, 48)))
    weights = np.random.default_rng(1).uniform(-2, 2, (300, 1)).astype(np.float32)
    learner = OmpLearner(unit(direction + 0.05), 1)
    learner.partial_fit(weights @ direction)
    np.testing.assert_allclose(np.abs(learner.atoms @ direction.T), 1, atol=1e-5)


@pytest.mark.parametrize("sparsity", [1, 2, 5])
def test_learning_lowers_the_error_it_codes_with(patches, start, sparsity):
    learner = OmpLearner(start, sparsity)
    errors = [error(start, patches[:2000], sparsity)]
    for _ in range(4):
        for first in range(2000, 6000, 250):
            learner.partial_fit(patches[first : first + 250])
        errors.append(error(learner.atoms, patches[:2000], sparsity))
    assert errors[-1] < 0.92 * errors[0]  # the remaining error is noise
    assert errors[-1] <= 1.02 * min(errors)
    np.testing.assert_allclose(np.linalg.norm(learner.atoms, axis=1), 1, atol=1e-5)


def test_is_as_good_as_scikit_learn_on_patches_not_seen(patches, start):
    """Both see the same batches and are judged by OMP with the K of our learner."""
    ours, theirs = OmpLearner(start, 2), LassoLearner(start, 2.0, "lars", 0)
    for first in range(2000, 7000, 250):
        ours.partial_fit(patches[first : first + 250])
        theirs.partial_fit(patches[first : first + 250])
    assert error(ours.atoms, patches[:2000], 2) < 1.03 * error(theirs.atoms, patches[:2000], 2)


def test_both_engines_learn_the_same(patches, start, monkeypatch):
    """Only after one batch: over many, ties for the best atom make them diverge."""
    learned = []
    for inner in (loops.NUMBA, loops.NUMPY):
        monkeypatch.setattr(loops, "fastest", inner)
        learner = OmpLearner(start, 3)
        learner.partial_fit(patches[:250])
        learned.append(learner.atoms)
    assert not np.allclose(learned[0], start, atol=1e-2)
    np.testing.assert_allclose(learned[0], learned[1], atol=1e-3)


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads_gives_the_same_bytes(patches, start, threads):
    learned = []
    for number in (1, threads):
        learner = OmpLearner(start, 3, number)
        learner.partial_fit(patches[:5000])
        learner.partial_fit(patches[5000:7000])
        learned.append(learner.atoms.tobytes())
    assert learned[0] == learned[1]


def test_the_caller_keeps_its_atoms(patches, start):
    before = start.copy()
    for learner in (OmpLearner(start, 2), LassoLearner(start, 2.0, "cd", 0)):
        learner.partial_fit(patches[:300])
        learner.replace(np.array([0]), patches[:1])
    np.testing.assert_array_equal(start, before)


@pytest.mark.parametrize("kind", ["omp", "lars"])
def test_replaced_atoms_are_learned_anew(patches, start, kind):
    learner = OmpLearner(start, 2) if kind == "omp" else LassoLearner(start, 2.0, "lars", 0)
    learner.partial_fit(patches[:1000])
    fresh = unit(patches[1000:1002])
    learner.replace(np.array([3, 9]), fresh)
    np.testing.assert_array_equal(learner.atoms[[3, 9]], fresh)
    learner.partial_fit(patches[2000:3000])
    assert np.isfinite(learner.atoms).all()
    assert (learner.atoms[[3, 9]] * fresh).sum(axis=1).max() > 0.3  # no longer the old atoms
