"""The checks on evaluations with hand-made predictions."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.evaluation.checks import all_checks, count_outcomes
from rsparse.evaluation.evidence import Evidence
from rsparse.evaluation.results import (
    BLACK_BOX,
    CLEAN,
    EXTENDED_GRAY_BOX,
    GRAY_BOX,
    TRANSFER,
    Column,
    Evaluation,
    JudgedDefense,
    Trial,
)

N = 40


def column(
    attack: str, eps: float | None = None, steps: int = 1, scenario: str = GRAY_BOX,
    source: str = "m", judged: str = "m",
):  # fmt: skip
    family = attack.split("-eps")[0]
    clean = family == CLEAN
    size = np.full(N, eps or 0.0)
    return Column(
        "" if clean else scenario, "" if clean else source, judged, "", attack, family,
        "eps" if eps else "", eps,
        {"name": family, "eps": eps, **({"steps": steps} if steps > 1 else {})},
        size, size, size, np.ones(N, bool),
    )  # fmt: skip


CLEAN_COLUMN = column(CLEAN)
FGSM, FGSM_8 = column("fgsm-eps=2", 2.0), column("fgsm-eps=8", 8.0)
BIM = column("bim-eps=8", 8.0, 10)
DOUBLED = column("bim-eps=8-steps=20", 8.0, 20)
NOISE = column("noise-eps=8", 8.0)
FLOOR = column("bim-eps=128", 128.0, 10)
MOVED = column("bim-eps=8", 8.0, 10, TRANSFER, source="other")


GOOD = [
    (CLEAN_COLUMN, 40), (FGSM, 30), (FGSM_8, 20), (BIM, 4), (DOUBLED, 3), (NOISE, 38), (FLOOR, 2),
]  # fmt: skip


def checked(changed=None, evidence=None, more=(), classes=10):
    """Outcome and detail of every check by name; ``changed`` is the number of correct images."""
    pairs = [(c, (changed or {}).get(c.attack, n)) for c, n in (*GOOD, *more)]
    labels = np.zeros(N, np.int64)
    trials = tuple(
        Trial(c.key, "none", np.where(np.arange(N) < n, 0, 1), np.ones(N, np.float32))
        for c, n in pairs
    )
    results = Evaluation(
        {}, "m", tuple(map(str, range(N))), labels, True, 3, tuple(map(str, range(classes))),
        tuple(c for c, _ in pairs), (JudgedDefense("none", "none", {}),), trials,
    )  # fmt: skip
    usual = [Evidence([FGSM, FGSM_8, BIM], FLOOR, [NOISE], (BIM, DOUBLED))]
    return {c.name: (c.outcome, c.detail) for c in all_checks(results, evidence or usual)}


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("images judged", "40 images: only those that the undefended model classifies correctly; 3 "
         "left out"),
        ("clean accuracy", "100 % without a defense, 100 % with this one"),
        ("iterative attacks beat one-step attacks", "bim-eps=8 10 %, fgsm-eps=8 50 %"),
        ("accuracy falls with strength", "3 pairs; closest: fgsm-eps=8 50 %, fgsm-eps=2 75 %"),
        ("a huge eps reaches chance", "bim-eps=128: 5 % (1 %–17 %); chance is 10.0 %"),
        ("random noise of the same norm is weaker",
         "2 pairs; closest: fgsm-eps=8 50 %, noise-eps=8 95 %"),
        ("doubling the steps gains nothing", "bim-eps=8 10 %, bim-eps=8-steps=20 8 %"),
        ("distortion within the limit", "L∞ is at most 8 grey levels"),
        ("attacks survive rounding to 8 bits", "no attack loses success"),
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
         "bim-eps=128: 50 % (35 %–65 %); chance is 10.0 %"),
        ({"noise-eps=8": 8}, "random noise of the same norm is weaker",
         "fgsm-eps=8 50 %, noise-eps=8 20 % (p = 0.00049)"),
        ({"bim-eps=8": 14}, "doubling the steps gains nothing",
         "bim-eps=8 35 %, bim-eps=8-steps=20 8 % (p = 0.00098)"),
    ],
)  # fmt: skip
def test_what_fails(changed, name, detail):
    assert checked(changed)[name] == ("fail", detail)


def test_a_rise_that_may_be_chance_does_not_fail():
    """Five more images of forty: 2 · (1/2)⁵ = 0.0625."""
    assert checked({"fgsm-eps=8": 35})["accuracy falls with strength"] == (
        "pass", "3 pairs; closest: fgsm-eps=8 88 %, fgsm-eps=2 75 %"
    )  # fmt: skip


def test_what_was_not_run_is_reported():
    found = checked(evidence=[Evidence([FGSM])])
    assert found["iterative attacks beat one-step attacks"][0] == "not run"
    assert found["a huge eps reaches chance"] == ("not run", "--no-extra-checks was given")
    assert found["random noise of the same norm is weaker"][0] == "not run"
    assert found["doubling the steps gains nothing"][0] == "not run"
    assert found["gradient-based attacks beat gradient-free ones"][0] == "not run"
    assert found["transfer is weaker than gray-box"] == (
        "not run", "the plan does not have both scenarios"
    )  # fmt: skip
    outcome, detail = found["adaptive attacks are strongest"]
    assert outcome == "not run"
    assert detail.endswith("so gray-box accuracy is not robustness")


def test_rounding_that_undoes_an_attack():
    fooled = np.ones(N, bool)
    after = np.arange(N) < 10
    evidence = Evidence([FGSM], rounding={FGSM.key: (fooled, after)})
    assert checked(evidence=[evidence])["attacks survive rounding to 8 bits"] == (
        "fail", "success before → after rounding: fgsm-eps=2 100 % → 25 %"
    )  # fmt: skip


def test_transfer_against_gray_box():
    both = [Evidence([BIM]), Evidence([MOVED], other="other")]
    found = checked(more=((MOVED, 0),), changed={"bim-eps=8": 30}, evidence=both)
    assert found["transfer is weaker than gray-box"][0] == "pass"  # both columns at 30
    assert found["iterative attacks beat one-step attacks"][0] == "not run"


def test_black_box_against_extended_gray_box():
    """Each pair has one judged model; two judged models are never compared."""
    extended = [column("bim-eps=8", 8.0, 10, EXTENDED_GRAY_BOX, j, j) for j in ("new", "newer")]
    black = [column("bim-eps=8", 8.0, 10, BLACK_BOX, "m", j) for j in ("new", "newer")]
    cleans = [column(CLEAN, judged=judged) for judged in ("new", "newer")]
    evidence = [Evidence([c], other=c.judged) for c in (*extended, *black)]

    def outcome(right: list[int]) -> tuple[str, str]:
        labels = np.zeros(N, np.int64)
        columns = [CLEAN_COLUMN, *cleans, *extended, *black]
        trials = tuple(
            Trial(c.key, "none", np.where(np.arange(N) < n, 0, 1), np.ones(N, np.float32))
            for c, n in zip(columns, [40, 40, 40, *right], strict=True)
        )
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
    assert outcome([0, 20, 10, 19])[0] == "pass"
    assert outcome([30, 0, 10, 30]) == (
        "fail", "bim-eps=8 75 %, bim-eps=8 from m 25 % (p = 1.9e-06)"
    )  # fmt: skip


def test_counting():
    from rsparse.evaluation.results import Check

    made = [Check("a", "", "", outcome, "") for outcome in ("pass", "pass", "not run")]
    assert count_outcomes(made) == {"pass": 2, "fail": 0, "not run": 1}
