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
    ("image", "got"),
    [(np.zeros((9, 9, 3)), r"float64 \(9, 9, 3\)"), (np.zeros((9, 9), "u1"), r"uint8 \(9, 9\)")],
)
def test_an_image_of_another_type_is_refused(small_dictionary, image, got):
    expected = f"expected uint8 of shape \\(h, w, 3\\), got {got}$"
    with pytest.raises(rsparse.InputError, match=f"^image: {expected}"):
        rsparse.purify(image, small_dictionary)
    for clean in (
        lambda images: rsparse.purify_batch(images, small_dictionary),
        lambda images: rsparse.defend(images, "jpeg"),
    ):
        with pytest.raises(rsparse.InputError, match=f"^image 0: {expected}"):
            clean([image])


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
    with refused("regionsparse needs a dictionary: --dict dict.h5"):
        rsparse.classify(photos, demo_model(), "regionsparse", device="cpu")


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
        ({"images": np.zeros((4, 4, 4, 3))}, "images: expected uint8"),
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
    with refused("regionsparse needs a dictionary: --dict dict.h5"):
        rsparse.defend(photos, "regionsparse")
