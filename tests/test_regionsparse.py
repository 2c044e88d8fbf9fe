"""RegionSparse: results in the object region, in the background and at the border."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.cpu.coding import sparse_code
from rsparse.core.filters import bilateral
from rsparse.core.localization import locate_object
from rsparse.core.omp import omp, reconstruct
from rsparse.core.patches import positions, take
from rsparse.core.regionsparse import purify
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters
from rsparse.store.images import to_unit
from tests.conftest import make_picture
from tests.refusals import refused

WHOLE = PurifyParameters(localize=False)
EVERYTHING = {"localize": False, "sparsity": 48}


def complete(size: int, **how: bool) -> Dictionary:
    square = np.random.default_rng(0).standard_normal((size, size))
    return Dictionary(np.linalg.qr(square)[0].astype(np.float32), 4, **how)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return make_picture(4, 37, 42)


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    mask = np.zeros((37, 42), dtype=bool)
    mask[10:25, 12:30] = True
    return mask


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(("color", "size"), [(True, 48), (False, 16)])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_a_complete_dictionary_gives_the_object_region_back(
    image, mask, normalize, color, size, stride
):
    dictionary = complete(size, color=color, normalize=normalize)
    parameters = PurifyParameters(sparsity=size, stride=stride, feather=0)
    clean = purify(image, dictionary, parameters, mask=mask)
    np.testing.assert_array_equal(clean[mask], image[mask])
    np.testing.assert_array_equal(clean[~mask], bilateral(image, 9, 80, 80)[~mask])


@pytest.mark.parametrize("shape", [(4, 4), (5, 5), (4, 9), (9, 4), (11, 13), (17, 6)])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_every_pixel_of_any_size_is_covered(shape, stride):
    image = make_picture(1, *shape)
    clean = purify(image, complete(48), PurifyParameters(**EVERYTHING, stride=stride))
    np.testing.assert_array_equal(clean, image)


def test_a_stride_beyond_a_patch_leaves_no_pixel_uncoded(image, mask):
    _, covered = sparse_code(to_unit(image), complete(48), 48, 9)
    assert not covered.all()  # the coder itself does as it is told
    far, near = (
        purify(image, complete(48), PurifyParameters(sparsity=3, stride=stride), mask=mask)
        for stride in (9, 4)
    )
    np.testing.assert_array_equal(far, near)


def test_outside_is_the_bilateral_filter_with_the_options_given(image, mask, small_dictionary):
    parameters = PurifyParameters(
        feather=0, bilateral_diameter=5, bilateral_sigma_color=30, bilateral_sigma_space=7
    )
    clean = purify(image, small_dictionary, parameters, mask=mask)
    np.testing.assert_array_equal(clean[~mask], bilateral(image, 5, 30, 7)[~mask])
    assert (clean[mask] != bilateral(image, 5, 30, 7)[mask]).any()


def test_without_background_the_outside_is_left_as_it_is(image, mask, small_dictionary):
    parameters = PurifyParameters(feather=0, filter_background=False)
    clean = purify(image, small_dictionary, parameters, mask=mask)
    np.testing.assert_array_equal(clean[~mask], image[~mask])


def test_a_hard_cut_takes_the_region_from_the_whole_image_coding(image, mask, small_dictionary):
    """Patches at the border extend past it; inside, the coding equals that of the whole image."""
    hard = purify(image, small_dictionary, PurifyParameters(feather=0), mask=mask)
    whole = purify(image, small_dictionary, WHOLE)
    np.testing.assert_array_equal(hard[mask][50:60], whole[mask][50:60])
    inner = np.zeros_like(mask)
    inner[13:22, 15:27] = True
    np.testing.assert_array_equal(hard[inner], whole[inner])


def test_a_feather_mixes_across_the_border_only(image, mask, small_dictionary):
    soft = purify(image, small_dictionary, PurifyParameters(feather=2), mask=mask)
    hard = purify(image, small_dictionary, PurifyParameters(feather=0), mask=mask)
    filtered = bilateral(image, 9, 80, 80)
    differs = (soft != hard).any(axis=2)
    assert differs[mask].any()
    assert differs[~mask].any()
    assert not differs[17:18, 20:22].any()  # deep inside
    np.testing.assert_array_equal(soft[:2], filtered[:2])  # far outside


@pytest.mark.parametrize("feather", [0.01, 1, 50, 256])
def test_any_feather_gives_values_between(image, mask, small_dictionary, feather):
    clean = purify(image, small_dictionary, PurifyParameters(feather=feather), mask=mask)
    x_o, covered = sparse_code(to_unit(image), small_dictionary, 2, 2)
    assert covered.all()
    ends = np.stack([np.clip(x_o, 0, 1) * 255, bilateral(image, 9, 80, 80).astype(np.float32)])
    inner = mask & (clean > 0).any(axis=2)
    assert (clean[inner] <= ends.max(axis=0)[inner] + 60).all()
    assert clean.dtype == np.uint8


def test_no_localize_codes_everything_and_needs_no_mask(image, small_dictionary):
    clean = purify(image, small_dictionary, WHOLE)
    x_o, _ = sparse_code(to_unit(image), small_dictionary, 2, 2)
    expected = np.rint(np.clip(x_o, 0, 1) * np.float32(255)).astype(np.uint8)
    np.testing.assert_array_equal(clean, expected)


def test_the_region_is_located_where_no_mask_is_given(small_dictionary):
    picture = make_picture(2, 120, 130)
    where = LocalizeParameters(threshold=60, closing_size=5)
    mask, found = locate_object(picture, where)
    assert found
    assert 0 < mask.mean() < 1
    given = purify(picture, small_dictionary, None, None, mask)
    np.testing.assert_array_equal(purify(picture, small_dictionary, None, where), given)


@pytest.mark.parametrize("background", [True, False])
def test_an_empty_mask_leaves_only_the_background(image, small_dictionary, background):
    parameters = PurifyParameters(filter_background=background)
    empty = np.zeros(image.shape[:2], dtype=bool)
    clean = purify(image, small_dictionary, parameters, mask=empty)
    expected = bilateral(image, 9, 80, 80) if background else image
    np.testing.assert_array_equal(clean, expected)


@pytest.mark.parametrize("level", [0, 1, 100, 255])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_constant_image_stays_when_patches_are_standardised(level, normalize, small_dictionary):
    flat = np.full((20, 23, 3), level, dtype=np.uint8)
    dictionary = small_dictionary if normalize else complete(48, normalize=False)
    sparsity = 1 if normalize else 48
    clean = purify(flat, dictionary, PurifyParameters(localize=False, sparsity=sparsity))
    np.testing.assert_array_equal(clean, flat)


def test_the_coding_is_eq_17_then_omp_then_the_average(image, small_dictionary):
    """The expected result is computed patch by patch."""
    x, stride = to_unit(image), 3
    corners = positions(x.shape[:2], 4, stride)
    patches = take(x, corners, 4).astype(np.float64)
    mean, deviation = patches.mean(axis=0), patches.std(axis=0)
    signals = ((patches - mean) / deviation).astype(np.float32)
    atoms = small_dictionary.atoms
    coded = reconstruct(*omp(signals, atoms, 3), atoms) * deviation + mean
    sums, counts = np.zeros(x.shape), np.zeros(x.shape)
    for (row, column), patch in zip(corners, coded, strict=True):
        sums[row : row + 4, column : column + 4] += patch.reshape(4, 4, 3)
        counts[row : row + 4, column : column + 4] += 1
    ours, _ = sparse_code(x, small_dictionary, 3, stride)
    assert np.mean(np.abs(ours - sums / counts) < 1e-4) > 0.999


def test_fewer_atoms_remove_more(image, small_dictionary):
    noise = np.random.default_rng(0).normal(0, 12, image.shape)
    noisy = np.clip(image + noise, 0, 255).astype(np.uint8)
    distance = [
        float(np.square(purify(noisy, small_dictionary, PurifyParameters(
            localize=False, sparsity=k)).astype(float) - noisy).mean())
        for k in (1, 2, 4, 8, 48)
    ]  # fmt: skip
    assert distance == sorted(distance, reverse=True)


def test_a_grey_dictionary_codes_each_channel_by_itself(image):
    dictionary = complete(16, color=False)
    clean, _ = sparse_code(to_unit(image), dictionary, 1, 2)
    for channel in range(3):
        alone = np.repeat(to_unit(image)[:, :, [channel]], 3, axis=2)
        np.testing.assert_array_equal(
            sparse_code(alone, dictionary, 1, 2)[0][:, :, 0], clean[:, :, channel]
        )


def test_the_image_and_the_mask_are_left_as_they_were(image, mask, small_dictionary):
    before, mask_before = image.copy(), mask.copy()
    purify(image, small_dictionary, mask=mask)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(mask, mask_before)


@pytest.mark.parametrize("feather", [0, 2])
def test_a_mask_of_numbers_counts_as_true_and_false(image, mask, small_dictionary, feather):
    parameters = PurifyParameters(feather=feather)
    expected = purify(image, small_dictionary, parameters, mask=mask)
    for scale in (1, 255):
        given = mask.astype(np.uint8) * scale
        clean = purify(image, small_dictionary, parameters, mask=given)
        np.testing.assert_array_equal(clean, expected)


def test_an_image_smaller_than_a_patch_is_refused(small_dictionary):
    with refused("is 9×3 pixels, smaller than a patch of 4×4"):
        purify(make_picture(0, 3, 9), small_dictionary)


def test_a_mask_of_another_size_is_refused(image, mask, small_dictionary):
    with refused("is 42×37 pixels, but its mask is 30×37"):
        purify(image, small_dictionary, mask=mask[:, :30])


UNIT = np.eye(48, dtype=np.float32)


@pytest.mark.parametrize(
    ("atoms", "patch_size", "color", "message"),
    [
        (UNIT, 8, True, "expected atoms of 192 numbers for colour patches of 8×8, "
                        "got an array of shape (48, 48)"),
        (UNIT, 4, False, "expected atoms of 16 numbers for grey patches of 4×4, "
                         "got an array of shape (48, 48)"),
        (UNIT[0], 4, True, "expected atoms of 48 numbers for colour patches of 4×4, "
                           "got an array of shape (48,)"),
        (UNIT[:0], 4, True, "expected atoms of 48 numbers for colour patches of 4×4, "
                            "got an array of shape (0, 48)"),
        (UNIT, -4, True, "expected a patch size of 1 or more, got -4"),
        (UNIT * np.nan, 4, True, "contains numbers that are not finite"),
        (UNIT * 2, 4, True, "expected atoms of norm 1, but atom 0 has norm 2"),
        (UNIT * 0, 4, True, "expected atoms of norm 1, but atom 0 has norm 0"),
    ],
)  # fmt: skip
def test_an_impossible_dictionary_is_refused(atoms, patch_size, color, message):
    with refused(f"dictionary: {message}"):
        Dictionary(atoms, patch_size, color)


def test_atoms_of_another_type_are_taken_as_float32(image, small_dictionary):
    double = Dictionary(small_dictionary.atoms.astype(np.float64), 4)
    assert double.atoms.dtype == np.float32
    np.testing.assert_array_equal(purify(image, double), purify(image, small_dictionary))


def test_theta_trades_the_coded_object_for_the_background(image, mask):
    """Eq. 19 with a weight for each pixel: θ C(x_o) + (1 − θ) C(x_b) inside, C(x_b) outside."""
    dictionary = complete(48)
    coded, filtered, half = (
        purify(image, dictionary, PurifyParameters(sparsity=1, theta=theta, feather=0), mask=mask)
        for theta in (1.0, 0.0, 0.25)
    )
    np.testing.assert_array_equal(filtered, bilateral(image, 9, 80, 80))
    np.testing.assert_array_equal(half[~mask], filtered[~mask])
    mixed = 0.25 * coded.astype(float) + 0.75 * filtered
    assert np.abs(half - mixed).max() <= 0.5 + 0.25 * 0.5 + 1e-3
    assert (coded[mask] != filtered[mask]).mean() > 0.5


def test_theta_without_a_filter_leaves_a_share_of_the_image(image):
    some = PurifyParameters(sparsity=1, theta=0.5, localize=False, filter_background=False)
    coded = purify(image, complete(48), PurifyParameters(sparsity=1, localize=False))
    mixed = 0.5 * coded.astype(float) + 0.5 * image
    assert np.abs(purify(image, complete(48), some) - mixed).max() <= 0.76


def test_a_grey_dictionary_codes_each_channel_alone(image):
    """The paper's patches have b·b numbers: a colour image is three grey ones."""
    dictionary = complete(16, color=False)
    parameters = PurifyParameters(sparsity=2, localize=False)
    clean = purify(image, dictionary, parameters)
    for channel in range(3):
        grey = np.repeat(image[:, :, channel : channel + 1], 3, axis=2)
        np.testing.assert_array_equal(
            clean[:, :, channel], purify(grey, dictionary, parameters)[:, :, 0]
        )
