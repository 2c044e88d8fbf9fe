"""Dictionary learning: patch sampling, the learner, and the quality of its atoms."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from rsparse.core import learning
from rsparse.core.dictionary import Dictionary
from rsparse.core.learning import (
    DictionaryLearner,
    learn_dictionary,
    patch_rng,
    standardized,
    take_patches,
)
from rsparse.core.non_local import non_local_means
from rsparse.core.omp import omp, reconstruct
from rsparse.core.online import OmpLearner
from rsparse.core.patches import positions, take, z_score
from rsparse.options.learn_dict import LearnParameters
from rsparse.store.images import to_unit
from tests.conftest import make_picture
from tests.refusals import refused

QUICK = LearnParameters(patch_size=4, n_atoms=24, patches_per_image=150, smoothing=False)


def quick(**changes: object) -> LearnParameters:
    return LearnParameters(**{**QUICK.as_record(), **changes})


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [make_picture(seed, 40 + seed, 44) for seed in range(4)]


@pytest.fixture(scope="module")
def learned(images) -> Dictionary:
    return learn_dictionary(images, QUICK)


def samples(image: np.ndarray, parameters: LearnParameters) -> np.ndarray:
    patches = take_patches(image, parameters, patch_rng(parameters.seed, 0, 0))
    return standardized(patches, parameters)


@pytest.mark.parametrize(("color", "size"), [(True, 48), (False, 16)])
def test_samples_are_patches_of_the_image(images, color, size):
    patches = samples(images[0], quick(color=color, normalize=False))
    assert patches.shape == (150, size)
    assert patches.dtype == np.float32
    if color:
        every = take(to_unit(images[0]), positions(images[0].shape[:2], 4, 1), 4)
        known = {patch.tobytes() for patch in every}
        assert all(patch.tobytes() in known for patch in patches)


def test_samples_are_smoothed_then_standardised(images):
    raw = samples(images[0], quick(normalize=False))
    smooth = samples(images[0], quick(normalize=False, smoothing=True))
    by_hand = samples(non_local_means(images[0], 10), quick(normalize=False))
    np.testing.assert_array_equal(smooth, by_hand)
    assert np.abs(smooth - raw).max() > 0.01
    np.testing.assert_array_equal(samples(images[0], QUICK), z_score(raw))


def test_every_place_can_be_drawn():
    image = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)
    patches = samples(image, quick(patches_per_image=500, normalize=False))
    assert len(np.unique(patches, axis=0)) == 3 * 2


def test_an_image_of_the_size_of_a_patch_is_enough():
    assert samples(make_picture(0, 4, 4), QUICK).shape == (150, 48)


def test_an_image_smaller_than_a_patch_is_refused():
    with refused("is 9×3 pixels, smaller than a patch of 4×4"):
        samples(make_picture(0, 3, 9), QUICK)


@pytest.mark.parametrize(("color", "size"), [(True, 48), (False, 16)])
@pytest.mark.parametrize("normalize", [True, False])
def test_atoms_are_rows_of_norm_one(images, color, normalize, size):
    dictionary = learn_dictionary(images, quick(color=color, normalize=normalize))
    assert dictionary.atoms.shape == (24, size)
    assert dictionary.atoms.dtype == np.float32
    assert (dictionary.patch_size, dictionary.color) == (4, color)
    assert dictionary.normalize is normalize
    np.testing.assert_allclose(np.linalg.norm(dictionary.atoms, axis=1), 1, atol=1e-5)


def test_a_planted_dictionary_is_found():
    rng = np.random.default_rng(0)
    planted = np.linalg.qr(rng.standard_normal((16, 16)))[0][:12]
    learner = DictionaryLearner(quick(color=False, n_atoms=24, atoms_per_patch=2, batch_size=32))
    for _ in range(10):
        codes = np.zeros((100, 12))
        for code in codes:
            code[rng.choice(12, 2, replace=False)] = rng.choice([-1, 1], 2) * rng.uniform(2, 4, 2)
        learner.partial_fit((codes @ planted).astype(np.float32))
    dictionary, errors = learner.finish()
    assert (np.abs(planted @ dictionary.atoms.T).max(axis=1) > 0.97).all()
    assert errors[2] < 0.02


def test_beats_random_patches_and_random_atoms(images, learned):
    rng = np.random.default_rng(1)
    patches = np.concatenate([samples(make_picture(seed, 40, 44), QUICK) for seed in (90, 91)])
    noise = rng.standard_normal(learned.atoms.shape).astype(np.float32)
    seen = np.concatenate([samples(image, QUICK) for image in images])
    others = seen[rng.choice(len(seen), 24, replace=False)]

    def error(atoms: np.ndarray) -> float:
        atoms = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
        return float(np.square(patches - reconstruct(*omp(patches, atoms, 2), atoms)).sum())

    assert error(learned.atoms) < error(others) < error(noise)


def test_equal_seeds_give_equal_bytes_and_others_do_not(images, learned):
    assert learn_dictionary(images, QUICK).atoms.tobytes() == learned.atoms.tobytes()
    other = learn_dictionary(images, quick(seed=1))
    assert other.atoms.tobytes() != learned.atoms.tobytes()


def test_more_passes_draw_new_patches(images, learned):
    twice = learn_dictionary(images, quick(passes=2))
    assert twice.atoms.tobytes() != learned.atoms.tobytes()


@pytest.mark.parametrize("max_coherence", [0.98, 0.8])
def test_no_dead_or_near_duplicate_atoms_are_left(images, max_coherence):
    parameters = quick(max_coherence=max_coherence, patches_per_image=600)
    learner = DictionaryLearner(parameters)
    for image in [*images, *images]:  # the same patches twice, hence many duplicates
        learner.partial_fit(samples(image, parameters))
    atoms = learner.finish()[0].atoms
    assert np.abs(np.triu(atoms @ atoms.T, k=1)).max() <= max_coherence + 1e-6
    chosen, coefficients = omp(np.concatenate([samples(i, parameters) for i in images]), atoms, 2)
    assert len(np.unique(chosen[coefficients != 0])) == len(atoms)


def test_planted_duplicates_are_replaced():
    pool = np.random.default_rng(0).standard_normal((400, 16)).astype(np.float32)
    learner = DictionaryLearner(quick(color=False))
    atoms = pool[:24] / np.linalg.norm(pool[:24], axis=1, keepdims=True)
    atoms[5] = -atoms[2]
    atoms[9] = atoms[2]
    online = OmpLearner(atoms, 2)
    learner._clean(online, pool)
    cleaned = online.atoms
    assert np.abs(np.triu(cleaned @ cleaned.T, k=1)).max() <= 0.98
    np.testing.assert_array_equal(cleaned[2], atoms[2])  # the first duplicate is kept


def test_a_small_last_pool_does_not_spoil_the_dictionary(monkeypatch):
    """One more image than fills the pools: its few patches must not make atoms count as dead."""
    monkeypatch.setattr(learning, "_POOL", 1000)
    parameters = quick(n_atoms=48)
    errors = {}
    for n_images in (16, 17):  # 135 training patches per image: 8 images fill a pool
        learner = DictionaryLearner(parameters)
        for seed in range(n_images):
            learner.partial_fit(samples(make_picture(seed, 40, 44), parameters))
        errors[n_images] = learner.finish()[1][2]
    assert errors[17] == pytest.approx(errors[16], rel=0.1)


@pytest.mark.parametrize("normalize", [True, False])
def test_flat_images_among_others_are_passed_over(images, normalize):
    flat = np.full((40, 40, 3), 90, dtype=np.uint8)
    parameters = quick(normalize=normalize)
    dictionary = learn_dictionary([flat, images[0], flat, images[1], flat], parameters)
    assert np.isfinite(dictionary.atoms).all()


def test_pools_of_flat_images_before_and_after_the_others(monkeypatch, images):
    monkeypatch.setattr(learning, "_POOL", 300)
    flat = [np.full((40, 40, 3), 90, dtype=np.uint8)] * 5
    dictionary = learn_dictionary([*flat, *images, *flat], QUICK)
    np.testing.assert_allclose(np.linalg.norm(dictionary.atoms, axis=1), 1, atol=1e-5)


def test_only_flat_images_are_refused():
    flat = np.full((40, 40, 3), 90, dtype=np.uint8)
    with refused(
        "only 0 usable patches for 24 atoms; "
        "use more images, more patches per image, or fewer atoms"
    ):
        learn_dictionary([flat, flat], QUICK)


def test_too_few_patches_are_refused(images):
    with refused(
        "only 131 usable patches for 200 atoms; "
        "use more images, more patches per image, or fewer atoms"
    ):
        learn_dictionary(images[:1], quick(n_atoms=200))


def test_no_images_are_refused():
    with refused(
        "only 0 usable patches for 24 atoms; "
        "use more images, more patches per image, or fewer atoms"
    ):
        learn_dictionary([], QUICK)


def test_hardly_more_patches_than_atoms(images):
    dictionary = learn_dictionary(images[:1], quick(n_atoms=130))
    np.testing.assert_allclose(np.linalg.norm(dictionary.atoms, axis=1), 1, atol=1e-5)


def test_the_held_out_error_falls_with_sparsity_and_can_be_left_out(images):
    learner = DictionaryLearner(QUICK)
    for image in images:
        learner.partial_fit(samples(image, QUICK))
    errors = learner.finish()[1]
    assert list(errors) == [1, 2, 4, 8]
    assert 1 > errors[1] > errors[2] > errors[4] > errors[8] > 0
    learner = DictionaryLearner(quick(held_out_share=0))
    learner.partial_fit(samples(images[0], QUICK))
    assert learner.finish()[1] == {}


def test_held_out_patches_are_not_learned_from(images):
    patches = samples(images[0], QUICK)
    changed = patches.copy()
    changed[:15] = 7  # the held-out tenth
    results = []
    for given in (patches, changed):
        learner = DictionaryLearner(QUICK)
        learner.partial_fit(given)
        results.append(learner.finish())
    np.testing.assert_array_equal(results[0][0].atoms, results[1][0].atoms)
    assert results[0][1] != results[1][1]


def test_memory_does_not_grow_with_the_folder(monkeypatch):
    """Once the pool is full, memory grows only by the held-out patches."""
    monkeypatch.setattr(learning, "_POOL", 1000)
    parameters = quick(patches_per_image=500, n_atoms=4, batch_size=2000)
    rng = np.random.default_rng(0)
    learner = DictionaryLearner(parameters)
    kept = []
    for _ in range(3):
        for _ in range(6):
            learner.partial_fit(rng.standard_normal((500, 48)).astype(np.float32))
            if not tracemalloc.is_tracing():
                tracemalloc.start()
        kept.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    held_out = 6 * 50 * 48 * 4
    assert kept[2] - kept[1] < 2 * held_out


def test_the_held_out_patches_are_bounded(monkeypatch):
    monkeypatch.setattr(learning, "_MAX_HELD_OUT", 40)
    learner = DictionaryLearner(QUICK)
    for seed in range(4):
        learner.partial_fit(samples(make_picture(seed), QUICK))
    assert sum(map(len, learner._held_out)) == 40


def test_atoms_are_replaced_unless_told_otherwise(images):
    """With a limit that all atoms exceed, every cleaning would replace some."""
    strict = quick(max_coherence=0.3)
    kept = learn_dictionary(images, quick(max_coherence=0.3, replace_atoms=False))
    other_limit = learn_dictionary(images, quick(max_coherence=0.9, replace_atoms=False))
    np.testing.assert_array_equal(kept.atoms, other_limit.atoms)
    assert (learn_dictionary(images, strict).atoms != kept.atoms).any()


def test_the_preset_paper_is_grey_smoothed_everywhere_and_keeps_atoms(images):
    paper = LearnParameters.preset("paper", patch_size=4, n_atoms=12, patches_per_image=60)
    assert (paper.coder, paper.replace_atoms, paper.smoothing_window) == ("lars", False, None)
    assert LearnParameters.preset("default") == LearnParameters()
    grey = cv2.cvtColor(images[0], cv2.COLOR_RGB2GRAY)[:, :, None]
    everywhere = non_local_means(grey, 49 * 10.0**2, 7, None, "printed")
    found = take_patches(images[0], paper, patch_rng(0, 0, 0))
    plain = take_patches(
        np.repeat(everywhere, 3, axis=2),
        LearnParameters.preset("paper", patch_size=4, patches_per_image=60, smoothing=False),
        patch_rng(0, 0, 0),
    )
    np.testing.assert_array_equal(found, plain)
    assert learn_dictionary(images, paper).atoms.shape == (12, 16)


@pytest.mark.parametrize(
    ("preset", "given", "h"),
    [
        ("paper", {}, 4900),
        ("paper", {"smoothing_weights": "squared"}, 10),
        ("paper", {"smoothing_weights": "opencv"}, 10),
        ("paper", {"smoothing_weights": "squared", "smoothing_h": 3.0}, 3),
        ("default", {"smoothing_weights": "printed"}, 7 * 7 * 3 * 10**2),
        ("default", {"smoothing_weights": "printed", "color": False}, 7 * 7 * 10**2),
    ],
)
def test_the_strength_of_the_smoothing_follows_the_unit_of_its_weights(preset, given, h):
    assert LearnParameters.preset(preset, **given).smoothing_h == h


def test_an_unknown_preset_is_refused():
    with refused("unknown preset 'papr'; did you mean paper? Known: default, paper"):
        LearnParameters.preset("papr")
