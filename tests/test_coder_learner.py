"""The dictionary learner: scikit-learn's checks, recovered atoms, and kinds of arrays."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from scipy.sparse import issparse
from sklearn.decomposition import DictionaryLearning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import rsparse
from rsparse import DictionaryLearner, InputError
from tests.atoms import planted, random_atoms


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([DictionaryLearner(), DictionaryLearner(7, tol=0.1, random_state=0)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def matched(found: np.ndarray, wanted: np.ndarray) -> float:
    """The share of the wanted atoms that were found, up to their sign."""
    return float((np.abs(wanted @ found.T).max(axis=1) > 0.98).mean())


@pytest.mark.parametrize("scale", [1, 1e-12, 1e12])
def test_planted_atoms_are_recovered(scale):
    atoms = random_atoms(32, 16)
    signals = planted(atoms, 2, 4000) @ atoms * scale
    learner = DictionaryLearner(32, n_nonzero_coefs=2, passes=15, random_state=0).fit(signals)
    assert matched(learner.components_, atoms) > 0.9
    assert learner.components_.shape == (32, 16)
    np.testing.assert_allclose(np.linalg.norm(learner.components_, axis=1), 1, rtol=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_error_is_no_larger_than_scikit_learns():
    atoms = random_atoms(32, 16)
    signals = planted(atoms, 2, 600) @ atoms
    ours = DictionaryLearner(32, n_nonzero_coefs=2, passes=20, random_state=0).fit(signals)
    theirs = DictionaryLearning(
        32, fit_algorithm="cd", transform_algorithm="omp", transform_n_nonzero_coefs=2,
        max_iter=20, tol=0, alpha=0.1, random_state=0,
    ).fit(signals)  # fmt: skip
    left = [
        np.square(signals - learner.transform(signals) @ learner.components_).sum()
        for learner in (ours, theirs)
    ]
    assert left[0] <= left[1]


def test_transform_is_omp_with_the_atoms():
    signals = np.random.default_rng(0).standard_normal((300, 12)).astype(np.float32)
    learner = DictionaryLearner(20, n_nonzero_coefs=3, random_state=0).fit(signals)
    assert learner.components_.dtype == np.float32
    expected = rsparse.omp(signals, learner.components_, n_nonzero_coefs=3)
    np.testing.assert_array_equal(learner.transform(signals), expected)
    back = learner.inverse_transform(expected)
    np.testing.assert_allclose(back, expected @ learner.components_)
    few = learner.set_params(sparse=True).transform(signals)
    assert issparse(few)
    np.testing.assert_array_equal(few.toarray(), expected)
    np.testing.assert_allclose(learner.inverse_transform(few), back, atol=1e-5)


def test_partial_fits_learn_what_one_fit_learns():
    signals = planted(random_atoms(16, 8), 2, 2000) @ random_atoms(16, 8)
    learner = DictionaryLearner(16, n_nonzero_coefs=2, random_state=0)
    for _ in range(5):
        for start in range(0, 2000, 500):
            learner.partial_fit(signals[start : start + 500])
    assert learner.n_batches_seen_ == 160
    whole = DictionaryLearner(16, n_nonzero_coefs=2, random_state=0).fit(signals)
    error = [np.square(signals - x.transform(signals) @ x.components_).mean()
             for x in (learner, whole)]  # fmt: skip
    assert error[0] < 2 * error[1] + 0.02


def test_the_seed_determines_the_bytes_and_threads_do_not():
    signals = np.random.default_rng(0).standard_normal((3000, 12))
    one = DictionaryLearner(20, random_state=3).fit(signals).components_
    two = DictionaryLearner(20, random_state=3, n_jobs=2).fit(signals).components_
    other = DictionaryLearner(20, random_state=4).fit(signals).components_
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() != other.tobytes()


def test_tensors_are_learned_from_and_coded():
    signals = torch.randn(400, 12, generator=torch.Generator().manual_seed(0))
    learner = DictionaryLearner(20, n_nonzero_coefs=2, random_state=0).fit(signals)
    same = DictionaryLearner(20, n_nonzero_coefs=2, random_state=0).fit(signals.numpy())
    np.testing.assert_array_equal(learner.components_, same.components_)
    codes = learner.transform(signals)
    assert isinstance(codes, torch.Tensor)
    np.testing.assert_array_equal(codes.numpy(), same.transform(signals.numpy()))
    assert isinstance(learner.inverse_transform(codes), torch.Tensor)


def test_pipelines_pickles_and_names():
    signals = np.random.default_rng(0).standard_normal((300, 12)) + 5
    pipeline = make_pipeline(StandardScaler(), DictionaryLearner(9, random_state=0))
    codes = pipeline.set_output(transform="default").fit_transform(signals)
    again = pickle.loads(pickle.dumps(pipeline)).transform(signals)
    np.testing.assert_array_equal(codes, again)
    assert pipeline[-1].get_feature_names_out()[0] == "dictionarylearner0"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"n_components": -1}, "n_components: expected a whole number of 1 or more, got -1"),
        ({"passes": 0}, "passes: expected a whole number of 1 or more, got 0"),
        ({"batch_size": 1.5}, "batch_size: expected a whole number of 1 or more, got 1.5"),
        (
            {"n_nonzero_coefs": 9},
            "n_nonzero_coefs: expected 1 to 4 for 4 atoms of 4 numbers, got 9",
        ),
        ({"n_jobs": 0}, "n_jobs: expected a whole number of 1 or more, got 0"),
    ],
)
def test_bad_parameters_are_refused(options, line):
    with pytest.raises(InputError) as caught:
        DictionaryLearner(**options).fit(np.eye(4))
    assert str(caught.value) == line


def test_tensors_that_do_not_fit_are_refused():
    learner = DictionaryLearner(random_state=0).fit(torch.eye(4))
    with pytest.raises(InputError, match="X: expected signals of 4 numbers as in fit, got 5"):
        learner.transform(torch.ones(2, 5))
    with pytest.raises(InputError, match="X: contains numbers that are not finite"):
        learner.fit(torch.tensor([[float("nan")]]))
    with pytest.raises(InputError, match="X: expected at least one signal, got none"):
        learner.fit(torch.ones(0, 4))
