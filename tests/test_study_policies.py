"""Choice of the default policy: rules, the best policy, halves."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from studies.policies import Measured, Rule, best_policy, chosen, halves, policy_text, right_behind

INF = float("inf")
NOISE = np.array([[0.1, 0.1, 0.1, 0.1], [1.0, 1.0, 1.0, 1.0], [5.0, 5.0, 5.0, 5.0]])
MEASURED = Measured(NOISE, np.ones_like(NOISE))


def flags(*columns: bool) -> np.ndarray:
    """Whether all images of a column are right: clean, weakly attacked, strongly attacked."""
    return np.repeat(np.array(columns)[:, None], 4, axis=1)


CANDIDATES = {
    "none": flags(True, False, False),
    "mild": flags(False, True, False),
    "strong": flags(False, False, True),
}
POLICY = (Rule(0.5, 4.0, "none"), Rule(2.0, INF, "mild"), Rule(INF, INF, "strong"))


def test_each_image_is_judged_behind_the_defense_of_its_rule():
    assert right_behind(POLICY, CANDIDATES, MEASURED).all()
    no_period = Measured(NOISE, np.full_like(NOISE, 9.0))
    found = right_behind(POLICY, CANDIDATES, no_period)
    assert found.mean(axis=1).tolist() == [0.0, 1.0, 1.0]  # clean is mistaken for attacked


def test_the_best_policy_is_found():
    found = best_policy(CANDIDATES, MEASURED, 0.9, periods=(4.0,), noises=(0.5, 2.0, 8.0))
    assert found == POLICY
    assert policy_text(found) == ("noise < 0.5 and period < 4: none; noise < 2: mild; else: strong")


def test_enough_clean_images_have_to_stay_right():
    """With "strong", all attacked images are right; with "none", only the clean ones."""
    same = Measured(np.full_like(NOISE, 0.1), np.ones_like(NOISE))
    candidates = {"none": flags(True, False, False), "strong": flags(False, True, True)}
    for clean, first in ((0.0, "strong"), (0.9, "none")):
        found = best_policy(candidates, same, clean, periods=(INF,), noises=(0.5, 2.0))
        assert found[0].defense == first


def test_what_is_told_of_policies():
    (row,) = halves((POLICY,), CANDIDATES, MEASURED)
    assert row == {
        "policy": policy_text(POLICY), "clean": "100", "attacked": "100.0", "even_clean": "100",
        "even_attacked": "100.0", "odd_clean": "100", "odd_attacked": "100.0",
    }  # fmt: skip
    rows = list(chosen(CANDIDATES, MEASURED))
    assert [row["clean_at_least"] for row in rows][:2] == ["0", "70"]
    assert {(row["clean"], row["attacked_on_other_half"]) for row in rows} == {("100", "100.0")}


def test_the_policies_compared_are_made_of_candidates_and_are_told_as_in_the_table():
    from studies.calibrate import CANDIDATES, COMPARED, DEFAULT
    from studies.pages import DOCS
    from studies.tables import read_rows

    assert DEFAULT in COMPARED
    assert {rule.defense for policy in COMPARED for rule in policy} <= set(CANDIDATES)
    table = read_rows(DOCS / "policies" / "neighbours.csv")
    assert [policy_text(policy) for policy in COMPARED] == [row["policy"] for row in table]
