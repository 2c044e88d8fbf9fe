"""RegionSparse follows scikit-learn's conventions as far as they apply to images."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from rsparse import InputError, RegionSparseTransformer
from rsparse.core.learning import learn_dictionary
from rsparse.core.regionsparse import purify
from rsparse.options.learn_dict import LearnParameters
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters
from tests.conftest import make_picture

SMALL = LearnParameters(n_atoms=24, patch_size=4, patches_per_image=200, smoothing=False)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.stack([make_picture(seed) for seed in range(3)])


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_valid_tag_types,
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        estimator_checks.check_mixin_order,
    ],
    ids=lambda check: check.__name__,
)
def test_scikit_learn_checks(check):
    """The checks that do not pass an (n_samples, n_features) array."""
    check("RegionSparseTransformer", RegionSparseTransformer())


def test_it_takes_a_set_of_parameters_for_each_step():
    parameters = inspect.signature(RegionSparseTransformer).parameters
    assert list(parameters) == ["learn", "policy", "purify", "localize", "n_jobs"]


def test_a_policy_purifies_where_no_parameters_are_given(images):
    estimator = RegionSparseTransformer(learn=SMALL, policy="paper").fit(images)
    where = LocalizeParameters(gradient_difference="horizontal", blur_size=1, working_size=0)
    how = PurifyParameters(sparsity=2, feather=0), where
    expected = [purify(image, estimator.dictionary_, *how) for image in images]
    np.testing.assert_array_equal(estimator.transform(images), expected)
    default = RegionSparseTransformer(learn=SMALL).fit(images).transform(images)
    assert (default != expected).any()
    named = RegionSparseTransformer(learn=SMALL, policy="default").fit(images)
    np.testing.assert_array_equal(named.transform(images), default)


def test_equals_the_functions_it_is_made_of(images):
    learn, sparse = dataclasses.replace(SMALL, seed=3), PurifyParameters(sparsity=1)
    estimator = RegionSparseTransformer(learn=learn, purify=sparse).fit(images)
    dictionary = learn_dictionary(images, learn)
    np.testing.assert_array_equal(estimator.dictionary_.atoms, dictionary.atoms)
    expected = [purify(image, dictionary, sparse) for image in images]
    np.testing.assert_array_equal(estimator.transform(images), expected)


def test_a_grid_search_goes_through_sets_of_parameters(images):
    sets = [{"purify": PurifyParameters(sparsity=k)} for k in (1, 4)]
    estimator = RegionSparseTransformer(learn=SMALL).fit(images)
    coarse, fine = (clone(estimator).set_params(**each).fit(images) for each in sets)
    assert (coarse.transform(images) != fine.transform(images)).any()
    assert estimator.purify is None


def test_same_type_and_shapes_out_as_in(images):
    estimator = RegionSparseTransformer(learn=SMALL).fit(images)
    assert estimator.transform(images).dtype == np.uint8
    as_float = estimator.transform(images.astype(np.float64) / 255)
    assert as_float.dtype == np.float64
    assert as_float.max() <= 1
    np.testing.assert_array_equal(np.rint(as_float * 255), estimator.transform(images))
    unequal = [images[0], images[1][:20, :31]]
    assert [image.shape for image in estimator.transform(unequal)] == [(48, 56, 3), (20, 31, 3)]


def test_fit_transform_clone_pipeline_and_idempotent_fit(images):
    estimator = RegionSparseTransformer(learn=SMALL)
    first = estimator.fit_transform(images)
    np.testing.assert_array_equal(first, clone(estimator).fit(images).transform(images))
    np.testing.assert_array_equal(first, estimator.fit(images).transform(images))
    np.testing.assert_array_equal(first, make_pipeline(estimator).fit(images).transform(images))


def test_processes_do_not_change_the_result(images):
    estimator = RegionSparseTransformer(learn=SMALL).fit(images)
    one = estimator.transform(images)
    np.testing.assert_array_equal(one, estimator.set_params(n_jobs=2).transform(images))


def test_localization_is_used(images):
    none = LocalizeParameters(threshold=254, blur_size=99, fallback_region="none")
    bare = PurifyParameters(filter_background=False)
    estimator = RegionSparseTransformer(learn=SMALL, purify=bare, localize=none).fit(images)
    np.testing.assert_array_equal(estimator.transform(images), images)


def test_unfitted():
    with pytest.raises(NotFittedError):
        RegionSparseTransformer().transform(np.zeros((1, 9, 9, 3), np.uint8))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            np.zeros((4, 5)),
            r"images: expected an array of shape \(n, h, w, 3\) or \(n, 3, h, w\), got",
        ),
        ([], "images: expected at least one, got none"),
        ([np.zeros((4, 5))], r"image 0: expected shape \(h, w, 3\) or \(3, h, w\), got"),
        (np.zeros((1, 9, 9, 3), int), r"image 0: expected uint8, or floating point .* got int64"),
        (np.full((1, 9, 9, 3), 1.5), r"image 0: expected values in \[0, 1\], got 1.5 to 1.5"),
        (np.full((1, 9, 9, 3), np.nan), r"image 0: expected values in \[0, 1\], got nan to nan"),
    ],
)
def test_images_that_are_none(images, message):
    with pytest.raises(InputError, match=message):
        RegionSparseTransformer().fit(images)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"learn": {"n_atoms": 9}}, "learn: expected LearnParameters, got {'n_atoms': 9}"),
        ({"purify": 3}, "purify: expected PurifyParameters, got 3"),
        ({"localize": PurifyParameters}, "localize: expected LocalizeParameters, got <class .*>"),
    ],
)
def test_a_set_of_another_kind_is_refused_when_it_is_used(images, wrong, message):
    with pytest.raises(InputError, match=rf"\A{message}\Z"):
        RegionSparseTransformer(**wrong).fit(images)


@pytest.mark.parametrize(
    ("both", "message"),
    [
        (
            {"policy": "paper", "purify": PurifyParameters()},
            "policy and purify cannot be used together",
        ),
        ({"localize": LocalizeParameters()}, "localize: cannot be used without purify"),
    ],
)
def test_what_does_not_go_together_is_refused_when_it_is_used(images, both, message):
    with pytest.raises(InputError, match=message):
        RegionSparseTransformer(learn=SMALL, **both).fit(images)
