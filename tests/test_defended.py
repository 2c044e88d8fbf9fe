"""A defense in front of classifiers, on a device."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from rsparse.defended.classifier import DefendedClassifier
from rsparse.defended.images import DefendedImages
from rsparse.defended.verdict import Verdict
from rsparse.defenses import Resources, parse_defense
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.spec import InputOptions
from rsparse.work.device import CPU, Device
from tests import short_of_memory
from tests.conftest import make_picture
from tests.onnx_models import linear_classifier
from tests.refusals import refused

TORCH = Device("torch-cpu")
PICTURES = [make_picture(seed, height, width) for seed, (height, width) in enumerate(
    [(48, 56), (20, 30), (48, 56), (40, 40)]
)]  # fmt: skip


@pytest.fixture
def resources(small_dictionary) -> Resources:
    return Resources({"": small_dictionary, "unused": small_dictionary})


def red_or_not(path, side: int) -> Classifier:
    """A two-class classifier whose logits are 10 times the mean of red, and 0."""
    weights = np.zeros((2, 3 * side * side), np.float32)
    weights[0, : side * side] = 10 / (side * side)
    linear_classifier(path, weights, (side, side))
    return load_classifier(path, InputOptions(preset="unit"))


class TestImages:
    def test_what_the_cores_do_is_done_when_an_image_is_prepared(self):
        (defense,) = parse_defense("jpeg:quality=20")
        for device in (CPU, TORCH):
            images = DefendedImages(defense, Resources(), device)
            prepared = images.prepare(PICTURES[0])
            assert not images.uses_device
            np.testing.assert_array_equal(prepared.item, defense.clean(PICTURES[0], Resources()))
            (cleaned,) = images.finish([prepared])
            np.testing.assert_array_equal(cleaned.pixels, prepared.item)
            assert cleaned.seconds == prepared.seconds > 0
            assert images.finish([]) == []

    @pytest.mark.parametrize("spec", ["comdefend", "regionsparse:sparsity=2"])
    def test_what_the_device_does_waits_for_it(self, spec, resources):
        pytest.importorskip("torch")
        (defense,) = parse_defense(spec)
        images = DefendedImages(defense, resources, TORCH)
        assert images.uses_device
        assert not DefendedImages(defense, resources).uses_device
        prepared = [images.prepare(picture) for picture in PICTURES]
        for before, picture, cleaned in zip(
            prepared, PICTURES, images.finish(prepared), strict=True
        ):
            expected = defense.clean(picture, resources)
            assert np.mean(np.abs(cleaned.pixels.astype(int) - expected) > 1) < 1e-3
            assert cleaned.seconds > before.seconds

    def test_they_can_be_sent_with_what_the_defense_needs_and_no_more(self, resources):
        (defense,) = parse_defense("regionsparse")
        for device in (CPU, TORCH):
            sent = pickle.dumps(DefendedImages(defense, resources, device))
            assert len(sent) < 1.5 * len(pickle.dumps(resources.dictionaries[""]))
            (clean,) = DefendedImages.clean(pickle.loads(sent), PICTURES[:1])
            (expected,) = DefendedImages(defense, resources, device).clean(PICTURES[:1])
            np.testing.assert_array_equal(clean, expected)

    def test_what_is_missing_or_unusable_is_refused(self, resources):
        (defense,) = parse_defense("regionsparse")
        with refused("regionsparse needs a dictionary: --dict dict.h5"):
            DefendedImages(defense, Resources())
        for device in (CPU, TORCH):
            with refused("is 9×3 pixels, smaller than a patch of 4×4"):
                DefendedImages(defense, resources, device).clean([make_picture(0, 3, 9)])

    def test_an_image_that_the_device_cannot_hold_is_told(self, resources, monkeypatch):
        pytest.importorskip("torch")
        short_of_memory.for_images_of_width(30, monkeypatch)
        (defense,) = parse_defense("regionsparse")
        images = DefendedImages(defense, resources, TORCH)
        line = (
            "is 30×20 pixels, too large for the memory of device 'cpu'; "
            "use a larger --stride, or --device cpu"
        )
        cleaned = images.finish([images.prepare(picture) for picture in PICTURES])
        assert [str(c.pixels) for c in cleaned if not isinstance(c.pixels, np.ndarray)] == [line]
        with refused(line):
            images.clean(PICTURES)


class TestVerdict:
    def test_the_most_probable_classes_come_first(self):
        verdict = Verdict.of(np.log(np.array([1, 4, 2, 3], np.float32)), top=3)
        assert verdict.classes == (1, 3, 2)
        assert verdict.prediction == 1
        assert verdict.probabilities == pytest.approx((0.4, 0.3, 0.2))
        assert (verdict.score, verdict.radius) == (None, None)

    def test_of_equal_logits_the_first_class_is_the_prediction(self):
        assert Verdict.of(np.array([0, 1, 1], np.float32)).classes == (1,)


class TestClassifier:
    @pytest.mark.parametrize("device", [CPU, TORCH], ids=["cpu", "torch-cpu"])
    @pytest.mark.parametrize("spec", ["none", "bit-depth:bits=1", "none+comdefend"])
    def test_each_classifier_judges_the_clean_image(self, tmp_path, device, spec):
        """For a mean red r in [0, 1], the probability is 1 / (1 + exp(−10 r))."""
        pytest.importorskip("torch")
        (defense,) = parse_defense(spec)
        judges = [red_or_not(tmp_path / f"{side}.onnx", side) for side in (4, 8)]
        pictures = [np.full((8, 8, 3), level, np.uint8) for level in (0, 40, 200)]
        defended = DefendedClassifier(defense, Resources(), judges, device, top=2)
        for verdicts, picture in zip(defended.predict(pictures), pictures, strict=True):
            clean = defense.clean(picture, Resources())
            for verdict in verdicts:
                shown = 1 / (1 + np.exp(-10 * clean[..., 0].mean() / 255))
                assert verdict.classes == (0, 1)
                assert verdict.probabilities == pytest.approx((shown, 1 - shown), abs=2e-3)

    def test_an_image_is_fitted_once_for_each_size_when_it_is_clean(self, tmp_path):
        (defense,) = parse_defense("none")
        judges = [red_or_not(tmp_path / f"{i}.onnx", side) for i, side in enumerate((4, 8, 4))]
        prepared = DefendedClassifier(defense, Resources(), judges).prepare(PICTURES[0])
        assert [image.shape for image in prepared.item] == [(4, 4, 3), (8, 8, 3), (4, 4, 3)]
        assert prepared.item[0] is prepared.item[2]

    def test_a_twin_is_loaded_once_and_not_sent(self, tmp_path, monkeypatch):
        pytest.importorskip("torch")
        from rsparse.models.torch import twin

        loaded = []
        load = twin.load_twin
        monkeypatch.setattr(twin, "load_twin", lambda *given: loaded.append(given) or load(*given))
        (none,), (jpeg,) = parse_defense("none"), parse_defense("jpeg")
        judge = red_or_not(tmp_path / "m.onnx", 4)
        for defense in (none, jpeg):
            defended = DefendedClassifier(defense, Resources(), [judge], TORCH)
            defended.predict(PICTURES[:1])
        assert loaded == [(judge, "cpu")]
        assert len(pickle.dumps(defended.preparation)) < 1000
        assert pickle.loads(pickle.dumps(defended)).classifiers[0].device == TORCH

    def test_an_image_that_cannot_be_cleaned_spares_the_others(
        self, resources, tmp_path, monkeypatch
    ):
        pytest.importorskip("torch")
        short_of_memory.for_images_of_width(30, monkeypatch)
        (defense,) = parse_defense("regionsparse")
        defended = DefendedClassifier(
            defense, resources, [red_or_not(tmp_path / "m.onnx", 4)], TORCH
        )
        found = defended.judge([defended.prepare(picture) for picture in PICTURES])
        assert [str(judged)[:15] for judged in found if not isinstance(judged, tuple)] == [
            "is 30×20 pixels"
        ]
        with refused(str(found[1])):
            defended.predict(PICTURES)
