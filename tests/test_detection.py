"""Scores in closed form, the registry, and detectors."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from rsparse.core.noise import color_noise, noise_level
from rsparse.defenses import NoDefense, Resources
from rsparse.detection.detector import Detector
from rsparse.detection.model_scores import Compression, Disagreement, Doubt, Squeezers
from rsparse.detection.registry import SCORES, default_scores, parse_scores, score_of
from rsparse.errors import InputError
from rsparse.models.fit import Fit
from rsparse.models.onnx.classifier import load_classifier
from tests.conftest import make_picture
from tests.onnx_models import four_animals

SEEN = NoDefense()


class TestColorNoise:
    def test_equal_noise_in_all_channels_is_none(self):
        grey = np.random.default_rng(0).integers(100, 110, (64, 64, 1), dtype=np.uint8)
        image = np.repeat(grey, 3, axis=2)
        assert color_noise(image) == 0
        assert noise_level(image) > 1

    def test_planes_of_any_colour_have_none(self):
        rows, columns = np.mgrid[:64, :64]
        image = np.stack([rows, columns, rows + columns], axis=2).astype(np.uint8)
        assert color_noise(image) == pytest.approx(0, abs=1e-3)

    @pytest.mark.parametrize("deviation", [2.0, 5.0])
    def test_it_is_the_deviation_of_two_differences(self, deviation):
        """Independent noise in three channels: each difference has twice its variance."""
        noise = np.random.default_rng(1).normal(0, deviation, (512, 512, 3))
        image = np.rint(128 + noise).astype(np.uint8)
        expected = np.sqrt(2 * 2 * (deviation**2 + 1 / 12))
        assert expected * 0.75 < color_noise(image) < expected  # the quantile is a low one

    def test_an_attack_in_the_flat_parts_shows(self):
        image = np.full((64, 64, 3), 120, np.uint8)
        image[:, 32:] = np.random.default_rng(2).integers(0, 255, (64, 32, 3))
        signs = np.random.default_rng(3).choice([-1, 1], image.shape)
        attacked = (image.astype(int) + signs).clip(0, 255).astype(np.uint8)
        assert color_noise(image) == 0
        assert color_noise(attacked) > 1


class TestScoresOfAnswers:
    IMAGE = make_picture(0)

    def test_equal_answers_agree(self):
        for score in (Disagreement(), Compression(), Squeezers()):
            same = np.array([0.2, 0.8], np.float32)
            assert score.measure(self.IMAGE, dict.fromkeys(score.views, same)) == 0

    def test_the_distance_of_two_sure_answers_is_two(self):
        one, other = np.eye(2, dtype=np.float32)
        for score in (Disagreement(), Compression()):
            before, after = score.views
            assert score.measure(self.IMAGE, {before: one, after: other}) == 2

    def test_the_squeezer_that_changes_most_counts(self):
        score = Squeezers()
        answers = {
            view: np.array([1 - change, change], np.float32)
            for view, change in zip(score.views, (0.0, 0.1, 0.3, 0.2), strict=True)
        }
        assert score.measure(self.IMAGE, answers) == pytest.approx(0.6)

    def test_doubt_is_the_second_probability_minus_the_first(self):
        answers = {SEEN: np.array([0.1, 0.6, 0.3], np.float32)}
        assert Doubt().measure(self.IMAGE, answers) == pytest.approx(-0.3)


@pytest.mark.parametrize("score", [kind() for kind in SCORES.values()], ids=repr)
class TestEveryScore:
    def test_a_spec_and_a_record_give_it_again(self, score):
        assert parse_scores([score.spec]) == (score,)
        assert score_of(score.as_record()) == score

    def test_it_measures_a_finite_number(self, score, tmp_path, small_dictionary):
        detector = Detector(
            (score,),
            Resources({"": small_dictionary}),
            load_classifier(four_animals(tmp_path / "m.onnx")),
        )
        for image in (make_picture(1), np.zeros((24, 24, 3), np.uint8)):
            (value,) = detector.measure(detector.prepare(image))
            assert np.isfinite(value)

    def test_a_model_is_needed_exactly_if_it_asks_for_answers(self, score, small_dictionary):
        resources = Resources({"": small_dictionary})
        if score.needs_model:
            with pytest.raises(InputError, match=f"score {score.name}: needs a classifier"):
                Detector((score,), resources)
        else:
            assert Detector((score,), resources).views == ()


def test_the_default_scores_are_all_that_can_be_measured():
    assert [s.name for s in default_scores(False, True)] == ["noise", "period", "color"]
    needing = [s for s in default_scores(True, False) if any(v.dictionaries for v in s.views)]
    assert needing == []
    assert Disagreement() in default_scores(True, True)


def test_a_score_that_is_given_twice_is_refused():
    with pytest.raises(InputError, match="noise is given twice"):
        parse_scores(["noise", "period", "noise"])


def test_an_unknown_score_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="unknown score 'nose'; did you mean noise?"):
        parse_scores(["nose"])


def test_a_detector_resizes_first_and_can_be_sent_to_processes():
    detector = pickle.loads(pickle.dumps(Detector(parse_scores(["noise"]), fit=Fit((20, 30)))))
    assert detector.prepare(make_picture(0)).image.shape == (20, 30, 3)
