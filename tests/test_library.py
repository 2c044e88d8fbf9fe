"""The functions on arrays do what the commands do on files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import rsparse
from rsparse.data import demo_model, demo_photos
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image
from tests.refusals import refused


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    files = find_images([demo_photos("test")])[:4]
    return np.stack([decode_image(file.read(), file.path) for file in files])


def test_every_public_name_is_there():
    for name in rsparse.__all__:
        assert getattr(rsparse, name) is not None
    assert "purify" in dir(rsparse)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        rsparse.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="Attacked is now rsparse.AdversarialImages"):
        rsparse.Attacked  # noqa: B018
    with pytest.raises(AttributeError, match="RegionSparse is now rsparse.RegionSparseTransformer"):
        rsparse.RegionSparse  # noqa: B018


def test_paths_may_be_strings(dict_file):
    assert rsparse.load_dictionary(str(dict_file))[0].atoms.shape[0] > 1
    assert rsparse.load_classifier(str(demo_model())).class_names


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((9, 9), "u1"), "expected shape (h, w, 3) or (3, h, w), got (9, 9)"),
        (
            np.zeros((3, 9, 3), "u1"),
            "the shape (3, 9, 3) can be read as (h, w, 3) and as (3, h, w)",
        ),
        (np.zeros((9, 9, 3), int), "expected uint8, or floating point in [0, 1], got int64"),
        (
            np.full((9, 9, 3), 255.0),
            "expected values in [0, 1], got 255 to 255; divide by 255, or use uint8",
        ),
        (
            np.linspace(-2, 2, 243).reshape(9, 9, 3),
            "expected values in [0, 1], got -2 to 2; clean images before they are normalised",
        ),
    ],
)
def test_an_image_of_another_form_is_refused(small_dictionary, image, message):
    with refused(f"image: {message}"):
        rsparse.purify(image, small_dictionary)
    with refused(f"image: {message}"):
        rsparse.locate_object(image)
    for clean in (
        lambda images: rsparse.purify_batch(images, small_dictionary),
        lambda images: rsparse.defend(images, "jpeg"),
        lambda images: rsparse.classify(images, demo_model()),
        lambda images: rsparse.activations(images, demo_model()),
        lambda images: rsparse.attack(images, [0], demo_model()),
        lambda images: rsparse.learn_dictionary(images),
    ):
        with refused(f"image 0: {message}"):
            clean([image])


def forms(pixels: np.ndarray) -> dict[str, object]:
    """The same images in all forms in which they can be given."""
    first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    unit = (pixels / 255).astype(np.float32)
    held = {
        "last": pixels,
        "first": first,
        "float32": unit,
        "float64": pixels / 255,
        "sequence": [pixels[0], first[1], *unit[2:]],
    }
    torch = pytest.importorskip("torch")
    held["tensor"] = torch.from_numpy(first)
    held["float tensor"] = torch.from_numpy(first).float() / 255
    held["bfloat16 tensor"] = held["float tensor"].bfloat16()
    return held


@pytest.mark.parametrize("name", [*forms(np.zeros((4, 6, 6, 3), np.uint8))])
def test_images_may_have_any_form_and_keep_it(photos, name):
    given = forms(photos)[name]
    clean = rsparse.defend(given, "median:size=3")
    assert type(clean) is type(given)
    expected = rsparse.defend(photos, "median:size=3")
    for place, (one, before) in enumerate(zip(clean, given, strict=True)):
        assert one.shape == before.shape
        assert one.dtype == before.dtype
        array = np.asarray(one if isinstance(one, np.ndarray) else one.float())
        array = array.transpose(1, 2, 0) if array.shape[0] == 3 else array
        levels = array if one.dtype in (np.uint8,) or array.max() > 1 else np.rint(array * 255)
        if "bfloat16" not in name:  # which rounds the given images
            np.testing.assert_array_equal(levels, expected[place])
    if "bfloat16" not in name:
        verdicts = rsparse.classify(given, demo_model())
        assert verdicts == rsparse.classify(photos, demo_model())


@pytest.mark.parametrize("name", ["first", "float64", "sequence", "float tensor"])
def test_learning_and_localization_take_any_form(photos, name):
    given = forms(photos)[name]
    few = rsparse.LearnParameters(n_atoms=16, patch_size=4, patches_per_image=99, smoothing=False)
    expected = rsparse.learn_dictionary(photos, few).atoms
    np.testing.assert_array_equal(rsparse.learn_dictionary(given, few).atoms, expected)
    mask, found = rsparse.locate_object(given[2])
    np.testing.assert_array_equal(mask, rsparse.locate_object(photos[2])[0])
    assert found == rsparse.locate_object(photos[2])[1]


def test_dictionaries_and_models_may_be_paths(photos, dict_file):
    dictionary = rsparse.load_dictionary(dict_file)[0]
    expected = rsparse.purify(photos[0], dictionary)
    np.testing.assert_array_equal(rsparse.purify(photos[0], str(dict_file)), expected)
    np.testing.assert_array_equal(rsparse.purify_batch(photos[:1], dict_file)[0], expected)
    for given in (str(dict_file), {"": str(dict_file)}):
        clean = rsparse.defend(photos[:1], "regionsparse", given)
        np.testing.assert_array_equal(clean, rsparse.defend(photos[:1], "regionsparse", dictionary))
    assert rsparse.classify(photos[:1], str(demo_model()), "regionsparse", str(dict_file))
    assert rsparse.activations(photos[:1], str(demo_model()))
    with refused("dictionary: expected a Dictionary or a path, got 3"):
        rsparse.purify(photos[0], 3)


@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
def test_classify_sees_the_images_behind_the_defense(photos, device):
    if device != "cpu":
        pytest.importorskip("torch")
    classifier = rsparse.load_classifier(demo_model())
    clean = rsparse.defend(photos, "median:size=5", device="cpu")
    expected = classifier.probabilities(list(clean))
    verdicts = rsparse.classify(photos, demo_model(), "median:size=5", top=3, device=device)
    assert [v.prediction for v in verdicts] == expected.argmax(1).tolist()
    for verdict, probabilities in zip(verdicts, expected, strict=True):
        assert verdict.classes == tuple(np.argsort(-probabilities, kind="stable")[:3])
        np.testing.assert_allclose(verdict.probabilities, sorted(probabilities)[:-4:-1], atol=1e-4)


def test_classify_needs_what_the_defense_needs(photos):
    with refused("regionsparse needs a dictionary named 'dct': --dict dct=dict.h5"):
        rsparse.classify(photos, demo_model(), "regionsparse:dictionary=dct", device="cpu")


def test_attack_deceives_and_stays_within_eps(photos):
    classifier = rsparse.load_classifier(demo_model())
    labels = classifier.logits(list(photos)).argmax(1)
    attacked = rsparse.attack(photos, labels, classifier, "bim:eps=8")
    assert attacked.x_adv.dtype == np.uint8
    assert np.abs(attacked.x_adv.astype(int) - photos).max() <= 8
    np.testing.assert_array_equal(
        attacked.success, classifier.logits(list(attacked.x_adv)).argmax(1) != labels
    )
    assert attacked.success.all()
    assert not attacked.failed.any()


def test_attack_scales_to_an_average_dissimilarity(photos):
    labels = rsparse.load_classifier(demo_model()).logits(list(photos)).argmax(1)
    attacked = rsparse.attack(photos, labels, demo_model(), "cw-l2:d=0.05,steps=40")
    x = photos.astype(np.float64) / 255
    norms = np.linalg.norm((attacked.x_adv_float - x).reshape(4, -1), axis=1)
    d = (norms / np.linalg.norm(x.reshape(4, -1), axis=1)).mean()
    assert d == pytest.approx(0.05, rel=1e-3)


def test_attack_equals_the_command(photos, run_cli, tmp_path: Path):
    source = demo_photos("test")
    files = [file.path for file in find_images([source])[:4]]
    run = run_cli(
        "attack", *[file for file in files if "01" in file.name][:1],
        "--model", demo_model(), "--attack", "fgsm:eps=4", "-o", tmp_path / "adv",
        "--predicted-labels",
    )  # fmt: skip
    assert run.exit_code == 0
    entry = json.loads((tmp_path / "adv" / "manifest.json").read_text())["images"][0]
    path = tmp_path / "adv" / entry["file"]
    original = next(file for file in files if "01" in file.name)
    pixels = decode_image(original.read_bytes(), original)[None]
    attacked = rsparse.attack(pixels, [entry["label"]], demo_model(), "fgsm:eps=4")
    np.testing.assert_array_equal(attacked.x_adv[0], decode_image(path.read_bytes(), path))


def test_activations_are_eq_7_by_layer(photos):
    totals = rsparse.activations(photos, demo_model())
    assert all(values.shape == (4,) for values in totals.values())
    halved = rsparse.activations(photos, demo_model(), gamma=1.0)
    assert all((halved[name] <= totals[name] + 1e-9).all() for name in totals)
    one = rsparse.activations(photos[:1], demo_model())
    assert one["pool_3"][0] == pytest.approx(totals["pool_3"][0])


def test_purify_batch_keeps_array_or_list(photos, small_dictionary):
    batch = rsparse.purify_batch(photos, small_dictionary)
    np.testing.assert_array_equal(batch[1], rsparse.purify(photos[1], small_dictionary))
    assert isinstance(rsparse.purify_batch(list(photos), small_dictionary), list)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0]}, "labels: expected 4 whole numbers, got shape"),
        ({"attack": "fgsm:eps=2,4"}, "attack: expected one, got 2"),
        ({"images": [np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4, 3), np.uint8)]},
         "images: expected one size, got 2"),
        ({"images": np.zeros((4, 4))}, "images: expected an array of shape"),
    ],
)  # fmt: skip
def test_what_cannot_be_attacked(photos, change, message):
    arguments = {"images": photos, "labels": [0] * 4, "model": demo_model(), **change}
    with pytest.raises(rsparse.InputError, match=message):
        rsparse.attack(**arguments)


@pytest.mark.parametrize("spec", ["slq", "regionsparse:sparsity=1+jpeg"])
def test_defend_equals_the_command(photos, small_dictionary, dict_file, run_cli, tmp_path, spec):
    files = [file.path for file in find_images([demo_photos("test")])[:2]]
    options = ("--defense", spec, "--dict", dict_file, "--seed", 3, "-o", tmp_path / "out")
    assert run_cli("purify", *files, *options).exit_code == 0
    written = [file.path for file in find_images([tmp_path / "out"])]
    cleaned = rsparse.defend(photos[:2], spec, small_dictionary, seed=3)
    for path, clean in zip(written, cleaned, strict=True):
        np.testing.assert_array_equal(decode_image(path.read_bytes(), path), clean)
    assert isinstance(rsparse.defend(list(photos[:1]), spec, {"": small_dictionary}), list)


def test_defend_takes_one_defense_and_what_it_needs(photos):
    with refused("defense: expected one, got 2 from 'jpeg:quality=2,3'"):
        rsparse.defend(photos, "jpeg:quality=2,3")
    with refused("regionsparse needs a dictionary named 'dct': --dict dct=dict.h5"):
        rsparse.defend(photos, "regionsparse:dictionary=dct")


@pytest.mark.parametrize("name", ["purify", "defend", "classify"])
def test_numeric_libraries_take_one_thread_as_in_the_commands(photos, monkeypatch, name):
    """With more threads, BLAS adds in another order, and a pixel may round differently."""
    from threadpoolctl import threadpool_info, threadpool_limits

    from rsparse.defended.classifier import DefendedClassifier
    from rsparse.defended.images import DefendedImages

    used = set()

    def watch(kind, method):
        original = getattr(kind, method)

        def watched(*arguments):
            used.update(pool["num_threads"] for pool in threadpool_info())
            return original(*arguments)

        monkeypatch.setattr(kind, method, watched)

    watch(DefendedImages, "treat")
    watch(DefendedClassifier, "predict")
    call = {
        "purify": lambda: rsparse.purify(photos[0]),
        "defend": lambda: rsparse.defend(photos, "jpeg", device="cpu"),
        "classify": lambda: rsparse.classify(photos, demo_model(), "jpeg", device="cpu"),
    }[name]
    with threadpool_limits(2):
        call()
    assert used == {1}
