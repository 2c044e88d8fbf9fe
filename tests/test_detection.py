"""Scores in closed form, the registry, and detectors."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from rsparse.core.noise import color_noise, noise_level
from rsparse.defenses import Resources
from rsparse.detection.detector import Detector
from rsparse.detection.model_scores import Disagreement, Instability, Lead, Squeezers, Swing
from rsparse.detection.registry import SCORES, default_scores, parse_scores, score_of
from rsparse.detection.score import Answer
from rsparse.detection.views import Mirrored, Noisy, Shifted
from rsparse.errors import InputError
from rsparse.models.fit import Fit
from rsparse.models.onnx.classifier import load_classifier
from tests.conftest import make_picture
from tests.onnx_models import four_animals


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


def answer(*probabilities: float) -> Answer:
    shares = np.array(probabilities, np.float32)
    return Answer(np.log(np.maximum(shares, 1e-9)), shares)


class TestScoresOfAnswers:
    IMAGE = make_picture(0)

    def test_equal_answers_agree(self):
        for score in (Instability(), Lead(), Swing(), Disagreement(), Squeezers()):
            assert score.measure(self.IMAGE, dict.fromkeys(score.views, answer(0.2, 0.8))) == 0

    def test_the_distance_of_two_sure_answers_is_two(self):
        for score in (Instability(), Disagreement(), Squeezers()):
            answers = dict.fromkeys(score.views, answer(0, 1)) | {score.views[0]: answer(1, 0)}
            assert score.measure(self.IMAGE, answers) == pytest.approx(2)

    def test_instability_is_a_mean_and_the_squeezers_a_maximum(self):
        for score, expected in ((Squeezers(), 0.6), (Instability(), 0.12)):
            answers = dict.fromkeys(score.views, answer(1, 0)) | {score.views[-1]: answer(0.7, 0.3)}
            assert score.measure(self.IMAGE, answers) == pytest.approx(expected)

    def test_instability_is_the_distance_of_the_mean_so_changes_both_ways_cancel(self):
        score = Instability()
        as_it_is, first, second, *rest = score.views
        answers = dict.fromkeys((as_it_is, *rest), answer(0.5, 0.5))
        answers |= {first: answer(0.9, 0.1), second: answer(0.1, 0.9)}
        assert score.measure(self.IMAGE, answers) == pytest.approx(0, abs=1e-6)

    def test_the_lead_is_lost_to_the_class_that_is_next_after_the_changes(self):
        score = Lead()
        as_it_is, *after = score.views
        before = np.array([9, 7, 1], np.float32)
        later = np.array([6, 2, 5], np.float32)  # the rival is the last class
        answers = dict.fromkeys(after, Answer(later, later)) | {as_it_is: Answer(before, before)}
        assert score.measure(self.IMAGE, answers) == pytest.approx((9 - 1) - (6 - 5))
        moved = {view: Answer(a.logits + 3, a.logits) for view, a in answers.items()}
        assert score.measure(self.IMAGE, moved) == pytest.approx(7)
        alone = {view: Answer(a.logits[:1], a.logits[:1]) for view, a in answers.items()}
        assert score.measure(self.IMAGE, alone) == 0

    def test_swing_is_the_largest_change_of_a_logit_less_the_mean_change(self):
        before, after = Swing().views
        logits = np.array([[1, 2, 9], [4, 5, 3]], np.float32)
        answers = {v: Answer(z, z) for v, z in zip((before, after), logits, strict=True)}
        assert Swing().measure(self.IMAGE, answers) == 6  # changes 3, 3, −6 with the mean 0
        moved = {before: answers[before], after: Answer(logits[0] + 7, logits[0])}
        assert Swing().measure(self.IMAGE, moved) == pytest.approx(0)


class TestViews:
    IMAGE = make_picture(3)

    def test_mirroring_twice_and_shifting_all_the_way_give_the_image_again(self):
        twice = Mirrored().clean(Mirrored().clean(self.IMAGE, Resources()), Resources())
        np.testing.assert_array_equal(twice, self.IMAGE)
        rows, columns = self.IMAGE.shape[:2]
        whole = Shifted(rows=rows, columns=columns).clean(self.IMAGE, Resources())
        np.testing.assert_array_equal(whole, self.IMAGE)
        there = Shifted(rows=4, columns=-5).clean(self.IMAGE, Resources())
        back = Shifted(rows=-4, columns=5).clean(there, Resources())
        np.testing.assert_array_equal(back, self.IMAGE)
        assert Shifted().clean(self.IMAGE, Resources())[2, 3].tolist() == self.IMAGE[0, 0].tolist()

    def test_noise_has_its_deviation_and_depends_on_the_seed_and_the_image_only(self):
        image = np.full((200, 200, 3), 128, np.uint8)
        noisy = Noisy(deviation=6).clean(image, Resources(seed=1))
        assert np.std(noisy.astype(float)) == pytest.approx(6, rel=0.03)
        np.testing.assert_array_equal(noisy, Noisy(deviation=6).clean(image, Resources(seed=1)))
        assert (noisy != Noisy(deviation=6).clean(image, Resources(seed=2))).any()


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


def test_the_default_scores_need_no_dictionary():
    assert [score.name for score in default_scores(False)] == ["noise", "period", "color"]
    views = [view for score in default_scores(True) for view in score.views]
    assert views
    assert not any(view.dictionaries for view in views)


def test_a_score_that_is_given_twice_is_refused():
    with pytest.raises(InputError, match="noise is given twice"):
        parse_scores(["noise", "period", "noise"])


def test_an_unknown_score_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="unknown score 'nose'; did you mean noise?"):
        parse_scores(["nose"])


def test_a_detector_resizes_first_and_can_be_sent_to_processes():
    detector = pickle.loads(pickle.dumps(Detector(parse_scores(["noise"]), fit=Fit((20, 30)))))
    assert detector.prepare(make_picture(0)).image.shape == (20, 30, 3)
