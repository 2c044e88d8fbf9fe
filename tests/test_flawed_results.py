"""Flaws that are visible in the results alone: checks on hand-made predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rsparse.evaluation.checks import (
    DefenseEvidence,
    Evidence,
    ImageEvidence,
    all_checks,
)
from rsparse.evaluation.checks.evidence import AttackRun, ModelAnswers
from rsparse.evaluation.results import CLEAN, Column, Evaluation, JudgedDefense, Trial
from tests.check_columns import column

N, CLASSES = 40, 10
LABELS = np.arange(N) % CLASSES
CLEANED = column(CLEAN)
BIM = column("bim-eps=8", 8.0, 10)
NONE = JudgedDefense("none", "none", {})
OURS = JudgedDefense("regionsparse", "regionsparse", {})


def answers(right: int | np.ndarray) -> np.ndarray:
    """Predictions of which the first ``right``, or the flagged ones, are correct."""
    flags = np.arange(N) < right if isinstance(right, int) else right
    return np.where(flags, LABELS, (LABELS + 1) % CLASSES)


def trial(of: Column, classes: np.ndarray, defense: JudgedDefense = NONE) -> Trial:
    spread = np.linspace(0.5, 0.9, N) + 0.01 * len(defense.text)
    return Trial(of.key, defense.text, classes, spread.astype(np.float32))


def results(*trials: Trial, columns: tuple[Column, ...] = (CLEANED, BIM), defenses=(NONE,)):
    return Evaluation(
        {}, "m", tuple(map(str, range(N))), LABELS, False, 0, tuple(map(str, range(CLASSES))),
        columns, defenses, trials,
    )  # fmt: skip


def sound(*more: Trial, **how):
    return results(trial(CLEANED, answers(N)), trial(BIM, answers(4)), *more, **how)


def outcome(evaluation, name, defense="", evidence=None, **more) -> tuple[str, str]:
    checks = all_checks(evaluation, evidence or [Evidence([BIM])], **more)
    return next((c.outcome, c.detail) for c in checks if (c.name, c.defense) == (name, defense))


RUN = AttackRun(answers(N), answers(2), answers(4))


def with_run(run: AttackRun, **changed) -> list[Evidence]:
    attack = replace(BIM, **changed)
    return [Evidence([attack], runs={attack.key: run}, values=192)]


def test_attacked_images_judged_with_another_preset():
    """The attack counted 4 correct images, the evaluation 30."""
    evaluation = results(trial(CLEANED, answers(N)), trial(BIM, answers(30)))
    name = "the attacked model answers alike"
    assert outcome(sound(), name, evidence=with_run(RUN))[0] == "pass"
    assert outcome(evaluation, name, evidence=with_run(RUN)) == (
        "fail", "26 of 40 images are in another class than when they were attacked (first: "
        "bim-eps=8)",
    )  # fmt: skip


def test_images_that_no_attack_changed_in_another_class():
    still = replace(BIM, linf=np.zeros(N))
    evaluation = results(
        trial(CLEANED, answers(N)), trial(still, answers(4)), columns=(CLEANED, still)
    )
    name = "unchanged images keep their class"
    assert outcome(evaluation, name, "none", [Evidence([still])])[0] == "fail"
    assert outcome(sound(), name, "none") == ("not run", "the attacks changed every image")


def test_rounding_that_undoes_an_attack():
    run = AttackRun(answers(N), answers(0), answers(30))
    assert outcome(sound(), "attacks survive rounding to 8 bits", evidence=with_run(run)) == (
        "fail", "bim-eps=8: success 100 % before and 25 % after rounding"
    )  # fmt: skip
    run = AttackRun(answers(N), answers(0), answers(4))
    assert outcome(sound(), "attacks survive rounding to 8 bits", evidence=with_run(run)) == (
        "undecided", "bim-eps=8: success 100 % before and 90 % after rounding (p = 0.12; about 55 "
        "images would decide it)",
    )  # fmt: skip


def test_images_that_were_all_wrong_before_the_attack():
    run = AttackRun(answers(0), answers(0), answers(0))
    name = "attacks fool the attacked model"
    assert outcome(sound(), name, evidence=with_run(run)) == (
        "fail", "bim-eps=8: 0 % of the images are right before and 0 % after the attack; before, "
        "that is no better than chance",
    )  # fmt: skip
    nothing = AttackRun(answers(N), answers(N), answers(N))
    assert outcome(sound(), name, evidence=with_run(nothing))[0] == "undecided"
    assert outcome(sound(), name, evidence=with_run(RUN))[0] == "pass"


@pytest.mark.parametrize(
    ("run", "changed", "expected"),
    [
        (RUN, {"linf": np.full(N, 8.0)}, "pass"),
        (RUN, {"linf": np.full(N, 9.0)}, "fail"),
        (RUN, {"strength": 8.6, "linf": np.full(N, 9.0)}, "pass"),  # rounding adds half a level
        (RUN, {"strength_name": "d", "strength": 0.1, "d": np.full(N, 0.102),
               "l2": np.full(N, 1.02)}, "pass"),  # 192 values, rounded: d grows by up to 0.0027
        (RUN, {"strength_name": "d", "strength": 0.1, "d": np.full(N, 0.15),
               "l2": np.full(N, 1.5)}, "fail"),
        (replace(RUN, is_average=True), {"strength_name": "d", "strength": 0.1,
         "d": np.linspace(0.05, 0.15, N), "l2": np.linspace(0.5, 1.5, N)}, "pass"),
        (replace(RUN, is_average=True), {"strength_name": "d", "strength": 0.1,
         "d": np.linspace(0.1, 0.2, N), "l2": np.linspace(1, 2, N)}, "fail"),
    ],
)  # fmt: skip
def test_an_attack_that_leaves_its_budget(run, changed, expected):
    evidence = with_run(run, **changed)
    assert outcome(sound(), "distortion within the limit", evidence=evidence)[0] == expected


@pytest.mark.parametrize(
    ("unchanged", "expected"), [(0, "pass"), (1, "undecided"), (3, "fail"), (40, "fail")]
)
def test_an_attack_that_leaves_images_unchanged(unchanged, expected):
    evidence = with_run(RUN, linf=np.where(np.arange(N) < unchanged, 0.0, 8.0))
    assert outcome(sound(), "attacks change the images", evidence=evidence)[0] == expected


def test_an_attack_that_uses_half_of_its_d():
    changed = {"strength_name": "d", "strength": 0.1, "d": np.full(N, 0.02)}
    assert outcome(sound(), "attacks use up their limit", evidence=with_run(RUN, **changed)) == (
        "fail", "bim-eps=8: 40 of 40 images are changed by much less than the limit, all by 0.02 "
        "of d = 0.1 on average",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shares", "expected", "detail"),
    [
        ([0.9] * 40, "pass", "most steps lower the loss on 40 of 40 images"),
        ([0.4] * 40, "fail", "most steps lower the loss on 0 of 40 images: the gradients do not"),
        ([0.9] * 3 + [np.nan] * 37, "undecided", "on 3 of 3 images; more images would decide it"),
        ([0.9] * 18 + [0.3] * 22, "undecided", "on 18 of 40 images"),
    ],
)
def test_gradients_that_lead_elsewhere(shares, expected, detail):
    run = replace(RUN, lowered=np.array(shares))
    found = outcome(sound(), "steps lower the attack's loss", evidence=with_run(run))
    assert found[0] == expected
    assert detail in found[1]


@pytest.mark.parametrize(
    ("tried", "found", "expected", "detail"),
    [
        (
            ("atoms", "identity"),
            ["identity"] * 9,
            "fail",
            "atoms found 0 images, and the gradients",
        ),
        (("atoms", "identity"), ["atoms"] * 9, "pass", "atoms found 9 images, and the gradients"),
        (("atoms",), ["atoms"], "pass", "after it 0 more"),
        (("smooth", "identity"), ["smooth"] * 5 + ["identity"] * 4, "undecided", "about"),
        (("identity",), ["identity"] * 9, "not run", "no image fell to one of several gradients"),
    ],
)
def test_a_substitute_that_is_weaker_than_the_identity(tried, found, expected, detail):
    run = replace(RUN, gradients=[(tried, name) for name in found])
    name = "the first gradient is not weaker than the others"
    outcome_, text = outcome(sound(), name, evidence=with_run(run))
    assert outcome_ == expected
    assert detail in text


@pytest.mark.parametrize(("linf", "expected"), [(40.0, "pass"), (8.4, "fail")])
def test_a_decision_based_attack_counts_by_what_it_changes(linf, expected):
    """It has no limit and fools every image; by larger changes than BIM's, that says nothing."""
    free = replace(column("HopSkipJumpAttack"), linf=np.full(N, linf))
    evaluation = results(
        trial(CLEANED, answers(N)), trial(BIM, answers(12)), trial(free, answers(0)),
        columns=(CLEANED, BIM, free),
    )  # fmt: skip
    name = "gradient-based attacks beat gradient-free ones"
    right = "100" if expected == "pass" else "0"
    found, text = outcome(evaluation, name, "none", [Evidence([BIM, free])])
    assert found == expected
    assert text.startswith(f"bim-eps=8 30 %, HopSkipJumpAttack within eps 8 {right} %")


def test_steps_of_less_than_a_grey_level_say_nothing_about_the_loss():
    run = replace(RUN, lowered=np.full(N, 0.4))
    weak = with_run(run, attack="bim-eps=2", strength=2.0)
    columns = (CLEANED, *weak[0].columns)
    evaluation = results(trial(CLEANED, answers(N)), trial(columns[1], answers(4)), columns=columns)
    assert outcome(evaluation, "steps lower the attack's loss", evidence=weak)[0] == "not run"


def test_an_attack_that_stops_when_it_has_fooled_the_model():
    """It has to use up its limit on the images that resist, and only there."""
    linf = np.where(np.arange(N) < 20, 8.0, 1.0)  # the first 20 images stay right
    run = replace(RUN, is_best_of_search=True)
    evidence = with_run(run, linf=linf)
    (attack,) = evidence[0].columns

    def found(right: int) -> tuple[str, str]:
        evaluation = results(
            trial(CLEANED, answers(N)), trial(attack, answers(right)), columns=(CLEANED, attack)
        )
        return outcome(evaluation, "attacks use up their limit", evidence=evidence)

    assert found(20)[0] == "pass"
    assert found(40)[0] == "fail"  # 20 images resist a change of one grey level
    assert found(0) == ("pass", "the attack is done with every image before its limit")


def test_images_without_an_answer():
    lost = answers(N)
    lost[:3] = -1
    evaluation = sound(trial(BIM, lost, OURS), defenses=(NONE, OURS))
    evaluation = replace(evaluation, trials=(*evaluation.trials, trial(CLEANED, answers(N), OURS)))
    assert outcome(evaluation, "every image was judged") == (
        "undecided", "3 of 160 answers are missing and count as wrong; about 507 answers would "
        "decide it",
    )  # fmt: skip


def images(right: int = N, **more) -> ImageEvidence:
    return ImageEvidence(0.1, LABELS, {"m": ModelAnswers(answers(right))}, **more)


def test_unreadable_images():
    found = outcome(sound(), "every image was judged", images=images(unreadable=8))
    assert found == ("fail", "8 of 48 images cannot be read")


def test_labels_all_equal_decide_nothing():
    same = replace(
        results(trial(CLEANED, np.zeros(N, np.int64)), trial(BIM, answers(4))),
        labels=np.zeros(N, np.int64),
    )
    found, detail = outcome(same, "clean accuracy", "none")
    assert found == "undecided"
    assert "all labels are equal" in detail


@pytest.mark.parametrize(("right", "expected"), [(4, "fail"), (7, "fail"), (16, "pass")])
def test_clean_accuracy_at_chance(right, expected):
    """Chance level is 1 in 10; 7 correct of 40 may be chance, 16 may not."""
    evaluation = results(trial(CLEANED, answers(right)), trial(BIM, answers(1)))
    assert outcome(evaluation, "clean accuracy", "none")[0] == expected


def test_clean_accuracy_on_few_images_is_undecided():
    few = replace(
        results(trial(CLEANED, answers(N))), labels=np.arange(N) % 2, class_names=("a", "b")
    )
    right = np.arange(N) < 25
    classes = np.where(right, few.labels, 1 - few.labels)
    evaluation = replace(few, trials=(trial(CLEANED, classes), trial(BIM, answers(4))))
    found, detail = outcome(evaluation, "clean accuracy", "none")
    assert found == "undecided"
    assert "images would decide it" in detail


def defended(rights: dict[str, int | np.ndarray], kind: str = "jpeg"):
    """Defenses, and trials in which each gets the given images right under the attack."""
    kinds = [JudgedDefense(text, kind, {}) for text in rights]
    made = [trial(BIM, answers(right), d) for d, right in zip(kinds, rights.values(), strict=True)]
    clean = [trial(CLEANED, answers(N), d) for d in kinds]
    return kinds, [*made, *clean]


def test_a_defense_that_hardly_changes_anything():
    """It changes the probabilities, but no class."""
    name = "the defense changes the answers"
    kinds, trials = defended({"jpeg-quality=99": 4})
    assert outcome(sound(*trials, defenses=(NONE, *kinds)), name, "jpeg-quality=99") == (
        "fail", "none of 80 answers is another class than without it, although 36 of these are "
        "wrong",
    )  # fmt: skip
    kinds, trials = defended({"jpeg-quality=99": 5})
    evaluation = sound(*trials, defenses=(NONE, *kinds))
    assert outcome(evaluation, name, "jpeg-quality=99")[0] == "pass"
    kinds, trials = defended({"jpeg-quality=99": N})
    right = results(
        trial(CLEANED, answers(N)), trial(BIM, answers(N)), *trials, defenses=(NONE, *kinds)
    )
    assert outcome(right, name, "jpeg-quality=99")[0] == "undecided"


def test_the_best_of_many_useless_defenses():
    """10 of 40 correct against 4: p = 0.012, but it is the best of twenty."""
    rights = {f"jpeg-quality={q}": 4 for q in range(20)} | {"jpeg-quality=7": 10}
    kinds, trials = defended(rights)
    evaluation = sound(*trials, defenses=(NONE, *kinds))
    assert outcome(evaluation, "the best of several defenses") == (
        "fail", "jpeg-quality=7 25 %, none 10 %: p = 0.012, but 0.25 for the best of 20 chosen on "
        "the same images",
    )  # fmt: skip
    kinds, trials = defended({"jpeg-quality=7": 10, "jpeg-quality=8": 4})
    evaluation = sound(*trials, defenses=(NONE, *kinds))
    assert outcome(evaluation, "the best of several defenses")[0] == "pass"
    assert outcome(evaluation, "the defense is better than none", "jpeg-quality=7")[0] == "pass"
    found = outcome(evaluation, "the defense is better than none", "jpeg-quality=8")
    assert found == ("undecided", "10 % on average with it, 10 % without (p = 1; too small to be "
                     "decided)")  # fmt: skip


def test_a_baseline_chosen_after_the_fact():
    rights = {f"jpeg-quality={q}": 10 for q in range(20)} | {"jpeg-quality=7": 16}
    kinds, trials = defended(rights)
    ours = [trial(BIM, answers(10), OURS), trial(CLEANED, answers(N), OURS)]
    evaluation = sound(*trials, *ours, defenses=(NONE, *kinds, OURS))
    found, detail = outcome(evaluation, "the best of several baselines", "regionsparse")
    assert found == "fail"
    assert "0.25 for the best of 20" in detail
    better = [trial(BIM, answers(30), OURS), trial(CLEANED, answers(N), OURS)]
    evaluation = sound(*trials, *better, defenses=(NONE, *kinds, OURS))
    assert outcome(evaluation, "the best of several baselines", "regionsparse")[0] == "pass"


def test_a_defense_that_makes_it_worse():
    kinds, trials = defended({"jpeg-quality=7": 2})
    evaluation = results(
        trial(CLEANED, answers(N)), trial(BIM, answers(12)), *trials, defenses=(NONE, *kinds)
    )
    assert outcome(evaluation, "the defense is better than none", "jpeg-quality=7")[0] == "fail"


def test_the_accuracy_of_a_lucky_draw():
    kinds, trials = defended({"slq": 30}, "slq")
    evaluation = sound(*trials, defenses=(NONE, *kinds))

    def drawn(*others: np.ndarray) -> tuple[str, str]:
        evidence = {"slq": DefenseEvidence(True, draws={BIM.key: others})}
        return outcome(evaluation, "random numbers are drawn anew", "slq", defenses=evidence)

    assert drawn(answers(18), answers(20))[0] == "fail"
    assert drawn(answers(30), answers(30)) == (
        "pass", "bim-eps=8: 75 %, 75 %, 75 % in 3 draws, 75 % in each"
    )  # fmt: skip
    moved = (np.arange(N) >= 10) | (np.arange(N) < 2)
    found, detail = drawn(answers(moved), answers(30))
    assert found == "fail"
    assert "whoever tries again finds a draw that is wrong" in detail
    moved = (np.arange(N) >= 4) & (np.arange(N) < 34)
    assert drawn(answers(moved), answers(30))[0] == "undecided"
