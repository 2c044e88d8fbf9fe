"""The three lines at the head of a report, and its key numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rsparse.evaluation.names import ADAPTIVE
from rsparse.evaluation.results import Evaluation
from rsparse.pages.rendering import Templates
from rsparse.report.headline import headline, key_numbers
from rsparse.report.markdown import render_markdown
from rsparse.report.page import render_page
from rsparse.report.pictures import Gallery
from rsparse.report.subjects import find_subjects
from rsparse.report.tables import overview
from tests.evaluations import FEW, make_evaluation, with_flags

OURS = "regionsparse-sparsity=2"


def judged(clean: int, attacked: int, of: int = 40, undefended: int = 0) -> Evaluation:
    """So many images are right behind the judged defense; ``undefended`` of the attacked without.

    All clean images are right without it and behind the baseline.
    """
    under_attack = {"none": undefended, OURS: attacked, "jpeg-quality=75": undefended}
    found = with_flags({d: [i < n for i in range(of)] for d, n in under_attack.items()})
    benign = {"none": of, OURS: clean, "jpeg-quality=75": of}
    trials = [
        replace(t, prediction=np.where(np.arange(of) < benign[t.defense], found.labels, -1))
        if t.column == found.columns[0].key
        else t
        for t in found.trials
    ]
    return replace(found, trials=tuple(trials), checks=())


def lines(evaluation: Evaluation) -> dict[str, str]:
    return {line.key: " ".join(line.sentences) for line in headline(find_subjects(evaluation))}


def test_images_lost_and_won_on_clean_ones_are_told_though_the_accuracy_is_the_same():
    evaluation = judged(clean=40, attacked=30)
    right = {"none": np.arange(40) < 30, OURS: np.arange(40) >= 10}
    trials = [
        replace(t, prediction=np.where(right[t.defense], evaluation.labels, -1))
        if t.column == evaluation.columns[0].key and t.defense in right
        else t
        for t in evaluation.trials
    ]
    said = lines(replace(evaluation, trials=tuple(trials), only_correct=False))
    assert "it costs 10 of these images, and 10 that were wrong become right." in said["holds"]


def test_a_gain_holds_and_what_was_not_measured_does_not():
    evaluation = judged(clean=40, attacked=30)
    said = lines(evaluation)
    assert said["asked"] == (
        "Does regionsparse-sparsity=2 protect mobilenet-v2 against fgsm (eps 2)? 40 images that it "
        "classifies correctly undefended; gray-box; all intervals are 95 %."
    )
    assert said["holds"] == (
        "Against an attacker who does not know the defense, 75.0 % (59.8–85.8 %) are right, "
        "undefended 0.0 %: +75.0 points (+61.0 to +89.0). On clean images 100.0 % (91.2–100.0 %) "
        "are right, undefended 100.0 %: it costs none of these images. It beats the best baseline, "
        "jpeg-quality=75 with 0.0 %: +75.0 points (+61.0 to +89.0)."
    )
    assert said["fails"] == (
        "An attacker who knows the defense was not measured, only gray-box: these numbers are not "
        "robustness. rsparse evaluate --scenario adaptive measures it."
    )
    numbers = key_numbers(find_subjects(evaluation))
    assert [(n.label, n.value, n.effect) for n in numbers] == [
        ("attacker knows the defense", "–", "undecided"),
        ("attacker does not know it", "75.0", "gain"),
        ("clean images", "100.0", "undecided"),
        ("best baseline, gray-box", "0.0", "undecided"),
    ]
    assert numbers[0].change == "not measured"


def test_harm_under_attack_and_on_clean_images_is_called_harm():
    evaluation = judged(clean=20, attacked=10, undefended=30)
    said = lines(evaluation)
    assert said["holds"] == "Nothing that was asked."
    assert (
        "25.0 % (14.2–40.2 %) are right, undefended 75.0 %: it does harm, −50.0 points "
        "(−66.2 to −33.8)." in said["fails"]
    )
    assert (
        "On clean images 50.0 % (35.2–64.8 %) are right, undefended 100.0 %: it does harm"
        in (said["fails"])
    )
    assert "It is worse than the best baseline, jpeg-quality=75 with 75.0 %" in said["fails"]
    subjects = find_subjects(evaluation)
    assert [n.effect for n in key_numbers(subjects)][1:3] == ["harm", "harm"]
    row = next(r for r in overview(subjects, "gray-box").rows if r[0].text == OURS)
    assert [value.sign for value in row[1:4]] == ["▼", "▼", ""]
    assert "▼ 25.0" in render_markdown(subjects)
    page = render_page(subjects, [], Gallery())
    assert page.index('class="change harm"') < page.index('id="defenses"')


def test_gain_and_harm_look_alike_but_for_the_colour():
    styles = Templates("rsparse.report").read("report.css").splitlines()
    own = [line for line in styles if ".gain" in line or ".harm" in line]
    assert own == [".gain { color: var(--pass); }", ".harm { color: var(--fail); }"]


@pytest.mark.parametrize(("attacked", "of"), [(3, 40), (1, 1)])
def test_a_small_gain_is_not_called_one(attacked, of):
    said = lines(judged(clean=of, attacked=attacked, of=of))
    assert "no gain is shown" in said["fails"]
    assert ("which may be due to chance" in said["fails"]) == (of == 40)
    assert ("on a single image, which proves nothing" in said["fails"]) == (of == 1)


def test_no_difference_at_all_is_not_put_down_to_chance():
    said = lines(judged(clean=40, attacked=0, undefended=0))
    assert "undefended 0.0 %: no gain is shown, no difference." in said["fails"]


def test_the_attacker_who_knows_comes_first():
    evaluation = make_evaluation(60, defenses=FEW, transfer=False, adaptive=True)
    said = lines(evaluation)
    found = said["holds"] + said["fails"]
    assert "was not measured" not in found
    assert found.count("gainst an attacker who knows the defense") == 1
    assert key_numbers(find_subjects(evaluation))[0].label == "attacker knows the defense"
    kept = [t for t in evaluation.trials if t.column[0] != ADAPTIVE or t.defense != OURS]
    without = replace(evaluation, trials=tuple(kept))
    assert "An attacker who knows the defense was not measured" in lines(without)["fails"]
    assert key_numbers(find_subjects(without))[0].change == "not measured"


def test_failed_checks_are_the_first_that_does_not_hold():
    said = lines(make_evaluation(6, defenses=FEW))
    assert said["fails"].startswith(
        "1 check of the evaluation failed, so read all numbers with care: accuracy falls with the "
        "strength."
    )


@pytest.mark.parametrize("kinds", [("none",), ("regionsparse",), ("jpeg",)])
def test_it_is_said_whatever_was_judged(kinds):
    few = tuple(pair for pair in FEW if pair[1] in kinds)
    said = lines(make_evaluation(6, defenses=few))
    assert set(said) == {"asked", "holds", "fails"}
    assert ("undefended?" in said["asked"]) == (kinds == ("none",))
    if kinds != ("none",):
        assert "no defense was not judged, so no gain is shown" in said["fails"]
