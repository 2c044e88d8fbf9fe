"""The pursuit on 50,000 photograph patches, compared with scikit-learn's OMP in float64."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import orthogonal_mp_gram

from rsparse.core.engines.cpu import loops
from rsparse.core.learning import learn_dictionary, standardized, take_patches
from rsparse.core.omp import omp, reconstruct
from rsparse.options.learn_dict import LearnParameters
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image

pytestmark = pytest.mark.shared

PHOTOS, PATCHES, CHUNK = 50, 50_000, 10_000


@cache
def photographs(folder: Path) -> list[np.ndarray]:
    return [decode_image(file.read(), file.path) for file in find_images([folder])[:PHOTOS]]


@cache
def patches(folder: Path, color: bool) -> np.ndarray:
    parameters = LearnParameters(
        smoothing=False, color=color, patches_per_image=PATCHES // PHOTOS
    )  # fmt: skip
    rng = np.random.default_rng(0)
    return np.concatenate([
        standardized(take_patches(photo, parameters, rng), parameters)
        for photo in photographs(folder)
    ])  # fmt: skip


@cache
def learned(folder: Path, color: bool, n_atoms: int) -> np.ndarray:
    parameters = LearnParameters(smoothing=False, color=color, n_atoms=n_atoms)
    return learn_dictionary(photographs(folder), parameters).atoms


@dataclass
class Codes:
    """Dense codes (n, k), zero where no atom was chosen, and the residuals of the patches."""

    dense: np.ndarray
    residual: np.ndarray  # norms


def ours(signals: np.ndarray, atoms: np.ndarray, sparsity: int) -> Codes:
    chosen, weights = omp(signals, atoms, sparsity)
    dense = np.zeros((len(signals), len(atoms)), dtype=np.float32)
    rows, places = np.nonzero(weights)
    dense[rows, chosen[rows, places]] = weights[rows, places]
    rest = signals - reconstruct(chosen, weights, atoms)
    return Codes(dense, np.linalg.norm(rest, axis=1))


def theirs(signals: np.ndarray, atoms: np.ndarray, sparsity: int) -> Codes:
    exact, signals = atoms.astype(np.float64), signals.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of early stopping, which is intended
        dense = orthogonal_mp_gram(exact @ exact.T, exact @ signals.T, n_nonzero_coefs=sparsity)
    dense = dense.reshape(len(atoms), len(signals)).T
    return Codes(dense, np.linalg.norm(signals - dense @ exact, axis=1))


def assert_agree(signals: np.ndarray, atoms: np.ndarray, sparsity: int) -> None:
    """Check that 99.9 % of the signals get the same atoms, with equal residuals for these."""
    same = 0
    for start in range(0, len(signals), CHUNK):
        chunk = signals[start : start + CHUNK]
        a, b = ours(chunk, atoms, sparsity), theirs(chunk, atoms, sparsity)
        equal = ((a.dense != 0) == (b.dense != 0)).all(axis=1)
        same += equal.sum()
        gap = np.abs(a.residual - b.residual) - 1e-4 * b.residual
        norms = np.linalg.norm(chunk, axis=1)
        assert (gap[equal] <= 1e-6 * norms[equal]).all()
    assert same >= 0.999 * len(signals)


@pytest.mark.parametrize("color", [True, False], ids=["colour", "grey"])
def test_the_kernel_chooses_as_scikit_learn_does(shared, color):
    atoms = learned(shared / "photos", color, 256)
    assert_agree(patches(shared / "photos", color), atoms, 5)


@pytest.mark.parametrize(
    ("color", "n_atoms", "sparsity"),
    [(True, 64, 1), (True, 64, 10), (True, 256, 2), (True, 1024, 5), (False, 64, 5),
     (False, 256, 1), (False, 512, 2)],
)  # fmt: skip
def test_and_so_for_other_sizes(shared, color, n_atoms, sparsity):
    atoms = learned(shared / "photos", color, n_atoms)
    assert_agree(patches(shared / "photos", color)[::10], atoms, sparsity)


@pytest.mark.parametrize("color", [True, False], ids=["colour", "grey"])
def test_numpy_chooses_as_scikit_learn_does(shared, color, monkeypatch):
    monkeypatch.setattr(loops, "fastest", loops.NUMPY)
    assert_agree(patches(shared / "photos", color)[::5], learned(shared / "photos", color, 256), 5)


def test_duplicate_atoms_are_chosen_once_and_either_will_do(shared, each_engine):
    atoms = learned(shared / "photos", True, 256)
    doubled = np.concatenate([atoms, atoms[::-1]])
    original = np.concatenate([np.arange(256), np.arange(256)[::-1]])
    signals = patches(shared / "photos", True)[::20]
    a, b = ours(signals, doubled, 5), ours(signals, atoms, 5)
    folded = np.zeros_like(b.dense)
    np.add.at(folded, (slice(None), original), a.dense)
    assert ((a.dense != 0).sum(axis=1) == (folded != 0).sum(axis=1)).all()  # never both duplicates
    equal = ((folded != 0) == (b.dense != 0)).all(axis=1)
    assert equal.mean() >= 0.999
    np.testing.assert_allclose(a.residual[equal], b.residual[equal], rtol=1e-4, atol=1e-4)


def test_a_zero_patch_among_others_has_no_code(shared, each_engine):
    signals = patches(shared / "photos", True)[:1000].copy()
    signals[::7] = 0
    codes = ours(signals, learned(shared / "photos", True, 256), 5)
    assert not codes.dense[::7].any()
    assert (codes.residual[::7] == 0).all()
    assert codes.dense[1::7].any(axis=1).all()


def test_more_atoms_than_the_rank_leave_nothing(shared, each_engine):
    """Grey patches have 64 values, so that 70 atoms cannot be linearly independent."""
    atoms = learned(shared / "photos", False, 256)
    signals = patches(shared / "photos", False)[:500]
    codes = ours(signals, atoms, 70)
    assert ((codes.dense != 0).sum(axis=1) <= 64).all()
    assert (codes.residual <= 0.02 * np.linalg.norm(signals, axis=1)).all()
