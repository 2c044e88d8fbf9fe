"""The checks that compare attacks, on evaluations with hand-made predictions."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.core.paired import MARGIN, Pairs
from rsparse.evaluation.checks import Evidence, all_checks, count_outcomes, worst_first
from rsparse.evaluation.checks.outcomes import compared, needed
from rsparse.evaluation.names import BLACK_BOX, EXTENDED_GRAY_BOX, TRANSFER
from rsparse.evaluation.results import CLEAN, Check, Evaluation, JudgedDefense, Trial
from tests.check_columns import N, column

CLEAN_COLUMN = column(CLEAN)
FGSM, FGSM_8 = column("fgsm-eps=2", 2.0), column("fgsm-eps=8", 8.0)
BIM = column("bim-eps=8", 8.0, 10)
DOUBLED = column("bim-eps=8-steps=20", 8.0, 20)
LONG = column("bim-eps=8-steps=30", 8.0, 30)
SEARCH = column("square-eps=8", 8.0)
NOISE = column("noise-eps=8", 8.0)
FLOOR = column("bim-eps=128", 128.0, 10)
MOVED = column("bim-eps=8", 8.0, 10, TRANSFER, source="other")


GOOD = [
    (CLEAN_COLUMN, 40), (FGSM, 30), (FGSM_8, 20), (BIM, 4), (DOUBLED, 4), (NOISE, 38), (FLOOR, 2),
    (LONG, 4), (SEARCH, 20),
]  # fmt: skip
USUAL = Evidence([FGSM, FGSM_8, BIM], [FLOOR], [NOISE], (BIM, DOUBLED), LONG, [SEARCH])


def checked(changed=None, evidence=None, more=(), classes=10):
    """Outcome and detail of every check by name; ``changed`` maps attacks to correct images."""
    pairs = [(c, (changed or {}).get(c.attack, n)) for c, n in (*GOOD, *more)]
    labels = np.arange(N) % classes
    trials = tuple(
        Trial(
            c.key, "none", np.where(np.arange(N) < n, labels, (labels + 1) % classes),
            np.ones(N, np.float32),
        )
        for c, n in pairs
    )  # fmt: skip
    results = Evaluation(
        {}, "m", tuple(map(str, range(N))), labels, True, 3, tuple(map(str, range(classes))),
        tuple(c for c, _ in pairs), (JudgedDefense("none", "none", {}),), trials,
    )  # fmt: skip
    return {c.name: (c.outcome, c.detail) for c in all_checks(results, evidence or [USUAL])}


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("clean accuracy", "93 % of 43 images, of which only those that are right were judged; "
         "chance is 10 %"),
        ("iterative attacks beat one-step attacks", "bim-eps=8 10 %, fgsm-eps=8 50 %"),
        ("accuracy falls with strength", "3 pairs; closest: fgsm-eps=8 50 %, fgsm-eps=2 75 %"),
        ("a huge eps reaches chance", "bim-eps=128: 5 %; chance is 10 %"),
        ("random noise of the same norm is weaker",
         "2 pairs; closest: fgsm-eps=8 50 %, noise-eps=8 95 %"),
        ("doubling the steps gains nothing", "bim-eps=8 10 %, bim-eps=8-steps=20 10 %"),
        ("many steps of BIM are not stronger", "bim-eps=8 10 %, bim-eps=8-steps=30 10 %"),
        ("gradient-based attacks beat gradient-free ones", "bim-eps=8 10 %, square-eps=8 50 %"),
        ("distortion within the limit", "L∞ is at most 8 grey levels"),
        ("attacks use up their limit", "every changed image is changed up to the limit"),
        ("every image was judged", "every image has an answer in every trial"),
    ],
)  # fmt: skip
def test_what_passes(name, detail):
    assert checked()[name] == ("pass", detail)


@pytest.mark.parametrize(
    ("changed", "name", "detail"),
    [
        ({"bim-eps=8": 30}, "iterative attacks beat one-step attacks",
         "bim-eps=8 75 %, fgsm-eps=8 50 % (p = 0.002)"),
        ({"fgsm-eps=8": 38}, "accuracy falls with strength",
         "fgsm-eps=8 95 %, fgsm-eps=2 75 % (p = 0.0078)"),
        ({"bim-eps=128": 20}, "a huge eps reaches chance",
         "bim-eps=128: 50 %; chance is 10 %"),
        ({"noise-eps=8": 8}, "random noise of the same norm is weaker",
         "fgsm-eps=8 50 %, noise-eps=8 20 % (p = 0.00049)"),
        ({"bim-eps=8": 14}, "doubling the steps gains nothing",
         "bim-eps=8 35 %, bim-eps=8-steps=20 10 % (p = 0.002)"),
        ({"bim-eps=8": 14}, "many steps of BIM are not stronger",
         "bim-eps=8 35 %, bim-eps=8-steps=30 10 % (p = 0.002)"),
        ({"fgsm-eps=8": 40, "bim-eps=8": 38}, "gradient-based attacks beat gradient-free ones",
         "bim-eps=8 95 %, square-eps=8 50 % (p = 7.6e-06)"),
    ],
)  # fmt: skip
def test_what_fails(changed, name, detail):
    assert checked(changed)[name] == ("fail", detail)


@pytest.mark.parametrize(
    ("changed", "name", "detail"),
    [
        # 5 more of 40 images correct: p = 2 · (1/2)⁵, but times 3 pairs; 7 of 53 would decide
        ({"fgsm-eps=8": 35}, "accuracy falls with strength",
         "3 pairs; closest: fgsm-eps=8 88 %, fgsm-eps=2 75 % (p = 0.062; about 53 images would "
         "decide it)"),
        ({"bim-eps=8": 5}, "doubling the steps gains nothing",
         "bim-eps=8 12 %, bim-eps=8-steps=20 10 % (p = 1; about 220 images would decide it)"),
        ({"bim-eps=128": 7}, "a huge eps reaches chance",
         "bim-eps=128: 18 %; chance is 10 %; about 112 images would decide it"),
    ],
)  # fmt: skip
def test_what_is_undecided(changed, name, detail):
    """The difference is in the wrong direction but may be due to chance."""
    assert checked(changed)[name] == ("undecided", detail)


def test_a_wrong_direction_never_passes():
    """Not even if a larger difference is excluded and others are significant."""
    found = checked({"fgsm-eps=8": 31})
    assert found["accuracy falls with strength"][0] == "undecided"


def test_no_difference_passes_if_a_larger_one_is_excluded():
    assert checked()["doubling the steps gains nothing"][0] == "pass"
    assert Pairs(0, 0, 38).high < MARGIN < Pairs(0, 0, 37).high
    assert compared(Pairs(0, 0, 37)) == "undecided"
    assert needed(Pairs(0, 0, 37)) == "no difference; 38 images would exclude one of 5 points"


def test_nothing_against_nothing_is_not_run():
    found = checked(dict.fromkeys((c.attack for c, _ in GOOD), 0))
    reason = "no image is right under either attack, so there is nothing to compare"
    for name in (
        "iterative attacks beat one-step attacks", "accuracy falls with strength",
        "random noise of the same norm is weaker", "doubling the steps gains nothing",
        "many steps of BIM are not stronger", "gradient-based attacks beat gradient-free ones",
    ):  # fmt: skip
        assert found[name] == ("not run", reason)
    assert found["a huge eps reaches chance"] == (
        "not run", "0 % of the clean images are right, which is no better than chance"
    )  # fmt: skip


def test_what_was_not_run_is_reported():
    found = checked(evidence=[Evidence([FGSM])])
    for name in (
        "a huge eps reaches chance", "random noise of the same norm is weaker",
        "doubling the steps gains nothing", "many steps of BIM are not stronger",
    ):  # fmt: skip
        assert found[name] == ("not run", "--no-extra-checks was given")
    assert found["iterative attacks beat one-step attacks"][0] == "not run"
    assert found["gradient-based attacks beat gradient-free ones"][0] == "not run"
    assert found["labels fit the classes"] == ("not run", "the images were not examined")
    assert found["transfer is weaker than gray-box"] == (
        "not run", "the plan does not have both scenarios"
    )  # fmt: skip
    outcome, detail = found["adaptive attacks are strongest"]
    assert outcome == "not run"
    assert detail.endswith("so gray-box accuracy is not robustness")


def test_transfer_against_gray_box():
    both = [Evidence([BIM]), Evidence([MOVED], other="other")]
    found = checked(more=((MOVED, 0),), changed={"bim-eps=8": 30}, evidence=both)
    assert found["transfer is weaker than gray-box"][0] == "pass"  # 30 correct in both columns
    assert found["iterative attacks beat one-step attacks"][0] == "not run"


def test_black_box_against_extended_gray_box():
    """Each pair shares one judged model; two judged models are never compared."""
    extended = [column("bim-eps=8", 8.0, 10, EXTENDED_GRAY_BOX, j, j) for j in ("new", "newer")]
    black = [column("bim-eps=8", 8.0, 10, BLACK_BOX, "m", j) for j in ("new", "newer")]
    cleans = [column(CLEAN, judged=judged) for judged in ("new", "newer")]
    evidence = [Evidence([c], other=c.judged) for c in (*extended, *black)]

    def outcome(right: list[int]) -> tuple[str, str]:
        labels = np.arange(N) % 2
        columns = [CLEAN_COLUMN, *cleans, *extended, *black]
        trials = tuple(
            Trial(c.key, "none", np.where(np.arange(N) < n, labels, 1 - labels),
                  np.ones(N, np.float32))
            for c, n in zip(columns, [40, 40, 40, *right], strict=True)
        )  # fmt: skip
        results = Evaluation(
            {}, "m", tuple(map(str, range(N))), labels, True, 0, ("a", "b"), tuple(columns),
            (JudgedDefense("none", "none", {}),), trials,
        )  # fmt: skip
        found = {(c.name, c.scenario): c for c in all_checks(results, evidence)}
        assert ("clean accuracy", "clean: newer") in found
        assert (
            found["iterative attacks beat one-step attacks", "black-box: new"].outcome == "not run"
        )
        check = found["black-box is weaker than extended-gray-box", BLACK_BOX]
        return check.outcome, check.detail

    assert outcome([0, 20, 10, 30])[0] == "pass"
    assert outcome([0, 20, 10, 19])[0] == "undecided"
    assert outcome([30, 0, 10, 30]) == (
        "fail", "bim-eps=8 75 %, bim-eps=8 from m 25 % (p = 1.9e-06)"
    )  # fmt: skip


def test_counting_and_order():
    made = [
        Check(outcome, "", "", outcome, "")
        for outcome in ("pass", "not run", "fail", "undecided", "pass")
    ]
    assert count_outcomes(made) == {"pass": 2, "fail": 1, "undecided": 1, "not run": 1}
    order = [check.outcome for check in worst_first(made)]
    assert order == ["fail", "undecided", "not run", "pass", "pass"]
