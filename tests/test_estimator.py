"""RegionSparse keeps scikit-learn's conventions as far as they apply to images."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from rsparse import InputError, RegionSparse
from rsparse.core.learning import learn_dictionary
from rsparse.core.regionsparse import purify
from rsparse.options.learn_dict import LearnParameters
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters
from tests.conftest import make_picture

SMALL = {"n_atoms": 24, "patch_size": 4, "patches_per_image": 200, "smoothing": False}


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
    """The checks that do not feed a table of (n_samples, n_features)."""
    check("RegionSparse", RegionSparse())


def test_defaults_are_those_of_the_parameter_dataclasses():
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(RegionSparse).parameters.items()
    }
    for kind in (LearnParameters, PurifyParameters):
        for field in dataclasses.fields(kind):
            if field.name in defaults and field.name != "sparsity":
                assert defaults[field.name] == field.default
    assert {field.name for field in dataclasses.fields(PurifyParameters)} <= set(defaults)
    assert (defaults["sparsity"], defaults["policy"]) == (None, "default")


def test_without_a_sparsity_a_policy_purifies(images):
    estimator = RegionSparse(**SMALL, policy="paper").fit(images)
    expected = [purify(image, estimator.dictionary_, PurifyParameters()) for image in images]
    np.testing.assert_array_equal(estimator.transform(images), expected)
    assert (RegionSparse(**SMALL).fit(images).transform(images) != expected).any()
    with pytest.raises(InputError, match="stride: goes with sparsity"):
        RegionSparse(**SMALL, stride=3).fit(images).transform(images)


def test_equals_the_functions_it_is_made_of(images):
    estimator = RegionSparse(**SMALL, sparsity=1, random_state=3).fit(images)
    dictionary = learn_dictionary(images, LearnParameters(**SMALL, seed=3))
    np.testing.assert_array_equal(estimator.dictionary_.atoms, dictionary.atoms)
    expected = [purify(image, dictionary, PurifyParameters(sparsity=1)) for image in images]
    np.testing.assert_array_equal(estimator.transform(images), expected)


def test_same_type_and_shapes_out_as_in(images):
    estimator = RegionSparse(**SMALL).fit(images)
    assert estimator.transform(images).dtype == np.uint8
    as_float = estimator.transform(images.astype(np.float64) / 255)
    assert as_float.dtype == np.float32
    assert as_float.max() <= 1
    np.testing.assert_array_equal(np.rint(as_float * 255), estimator.transform(images))
    unequal = [images[0], images[1][:20, :31]]
    assert [image.shape for image in estimator.transform(unequal)] == [(48, 56, 3), (20, 31, 3)]


def test_fit_transform_clone_pipeline_and_idempotent_fit(images):
    estimator = RegionSparse(**SMALL)
    first = estimator.fit_transform(images)
    np.testing.assert_array_equal(first, clone(estimator).fit(images).transform(images))
    np.testing.assert_array_equal(first, estimator.fit(images).transform(images))
    np.testing.assert_array_equal(first, make_pipeline(estimator).fit(images).transform(images))


def test_processes_do_not_change_the_result(images):
    estimator = RegionSparse(**SMALL).fit(images)
    one = estimator.transform(images)
    np.testing.assert_array_equal(one, estimator.set_params(n_jobs=2).transform(images))


def test_localization_is_used(images):
    none = LocalizeParameters(threshold=254, blur_size=99, fallback_region="none")
    estimator = RegionSparse(**SMALL, sparsity=2, localization=none, filter_background=False).fit(
        images
    )
    np.testing.assert_array_equal(estimator.transform(images), images)


def test_unfitted():
    with pytest.raises(NotFittedError):
        RegionSparse().transform(np.zeros((1, 9, 9, 3), np.uint8))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 5)), r"images: expected an array of shape \(n, h, w, 3\), got \(4, 5\)"),
        ([], "images: expected at least one, got none"),
        ([np.zeros((4, 5))], r"image 0: expected shape \(h, w, 3\), got \(4, 5\)"),
        (np.zeros((1, 9, 9, 3), int), r"image 0: expected uint8, or floating point .* got int64"),
        (np.full((1, 9, 9, 3), 1.5), r"image 0: expected values in \[0, 1\], got 1.5 to 1.5"),
        (np.full((1, 9, 9, 3), np.nan), r"image 0: expected values in \[0, 1\], got nan to nan"),
    ],
)
def test_images_that_are_none(images, message):
    with pytest.raises(InputError, match=message):
        RegionSparse().fit(images)


def test_a_parameter_out_of_range_is_refused_when_it_is_used(images):
    with pytest.raises(InputError, match="sparsity: expected .* 1 to 1024, got 0"):
        RegionSparse(**SMALL, sparsity=0).fit(images).transform(images)
