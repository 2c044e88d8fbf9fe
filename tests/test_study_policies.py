"""Choice of the default policy: rules, the best policy, unseen images, halves."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from studies.policies import (
    Measured,
    Rule,
    all_bounds,
    best_policy,
    chosen,
    color_bounds,
    column_weights,
    halves,
    policy_text,
    right_behind,
    shares,
)

INF = float("inf")
COLUMNS = ("clean", "deepfool-scale=2", "bim-eps=2", "bim-eps=14")
NOISE = np.repeat([[0.1], [0.1], [1.0], [5.0]], 10, axis=1)
NO_COLOR = np.zeros_like(NOISE)
MEASURED = Measured(NOISE, np.ones_like(NOISE), NO_COLOR)


def flags(*columns: bool) -> np.ndarray:
    """Whether all images of a column are right: clean, changed least, weakly, strongly."""
    return np.repeat(np.array(columns)[:, None], 10, axis=1)


CANDIDATES = {
    "many": flags(True, True, False, False),
    "mild": flags(False, False, True, False),
    "strong": flags(False, False, False, True),
}
POLICY = (Rule(0.5, 2.0, INF, "many"), Rule(2.0, INF, INF, "mild"), Rule(INF, INF, INF, "strong"))
BOUNDS = [
    [(low, 2.0, INF), (high, INF, INF), (INF, INF, INF)] for low, high in ((0.05, 2.0), (0.5, 2.0))
]


def test_each_image_is_judged_behind_the_defense_of_its_rule():
    assert right_behind(POLICY, CANDIDATES, MEASURED).all()
    period = Measured(NOISE, np.full_like(NOISE, 9.0), NO_COLOR)
    found = right_behind(POLICY, CANDIDATES, period)
    assert found.mean(axis=1).tolist() == [0.0, 0.0, 1.0, 1.0]  # clean is mistaken for attacked


def test_the_best_policy_is_found():
    found = best_policy(CANDIDATES, MEASURED, COLUMNS, 0.9, BOUNDS)
    assert found == POLICY
    assert policy_text(found) == ("noise < 0.5 and period < 2: many; noise < 2: mild; else: strong")


def test_enough_clean_images_have_to_stay_right():
    """With "strong", all attacked images are right; with "many", only the clean ones."""
    same = Measured(np.full_like(NOISE, 0.1), np.ones_like(NOISE), NO_COLOR)
    candidates = {
        "many": flags(True, False, False, False),
        "strong": flags(False, True, True, True),
    }
    for clean, first in ((0.0, "strong"), (0.9, "many")):
        found = best_policy(candidates, same, COLUMNS, clean, BOUNDS[1:])
        assert found[0].defense == first
    with pytest.raises(LookupError, match="no policy leaves 90 % of the clean images right"):
        best_policy({"strong": candidates["strong"]}, same, COLUMNS, 0.9, BOUNDS)


def test_attacks_of_least_change_count_half():
    np.testing.assert_array_equal(column_weights(COLUMNS), [0.5, 1, 1])
    same = Measured(np.full_like(NOISE, 0.1), np.ones_like(NOISE), NO_COLOR)
    candidates = {"least": flags(True, True, False, False), "weak": flags(True, False, True, False)}
    assert best_policy(candidates, same, COLUMNS, 0, BOUNDS[1:])[0].defense == "weak"
    right = np.array([[True, True], [True, False], [False, False], [True, False]])
    assert shares(right, COLUMNS) == {"clean": "100.0", "least_change": "50.0", "attacked": "25.0"}


def test_each_fold_is_judged_behind_the_best_policy_of_the_others():
    rows = list(chosen(CANDIDATES, MEASURED, COLUMNS, {"noise": BOUNDS}))
    assert [row["clean_at_least"] for row in rows][:2] == ["0", "84"]
    assert {(row["clean"], row["attacked_unseen"]) for row in rows} == {("100.0", "100.0")}
    lucky = flags(True, False, True, False)
    lucky[2, ::5] = False  # wrong in one fold of five, where it is not seen
    other = flags(True, False, False, False)
    other[2, ::5] = True
    same = Measured(np.full_like(NOISE, 0.1), np.ones_like(NOISE), NO_COLOR)
    (row, *_) = chosen({"lucky": lucky, "other": other}, same, COLUMNS, {"noise": BOUNDS[1:]})
    assert (row["attacked"], row["attacked_unseen"]) == ("40.0", "40.0")


def test_what_is_told_of_policies():
    (row,) = halves((POLICY,), CANDIDATES, MEASURED, COLUMNS)
    assert row["policy"] == policy_text(POLICY)
    assert {value for key, value in row.items() if key != "policy"} == {"100.0"}
    assert {"even_clean", "odd_attacked", "least_change"} < set(row)


def test_rules_come_from_the_clearest_images_to_all_others():
    for first, second, weak, last in all_bounds():
        assert first[0] < second[0]
        assert first[1] <= second[1] < weak[1] == INF
        assert last == (INF, INF, INF)
        assert {limit[2] for limit in (first, second, weak)} == {INF}


def test_a_rule_can_ask_for_the_noise_in_colour():
    """Strong attacks differ from weak ones in colour alone."""
    color = np.repeat([[0.1], [0.1], [1.0], [9.0]], 10, axis=1)
    measured = Measured(np.ones_like(NOISE), np.ones_like(NOISE), color)
    for first, weak, last in color_bounds():
        assert first[2] < weak[2]
        assert last == (INF, INF, INF)
    found = best_policy(CANDIDATES, measured, COLUMNS, 0.9, color_bounds())
    assert right_behind(found, CANDIDATES, measured).all()
    assert [rule.defense for rule in found] == ["many", "mild", "strong"]
    assert policy_text(found).startswith("noise < 4 and period < 2.5 and color < 0.5: many; color")
    blind = best_policy(CANDIDATES, measured, COLUMNS, 0, all_bounds())
    assert right_behind(blind, CANDIDATES, measured).mean() < 1


def test_the_policies_compared_are_made_of_candidates_and_are_told_as_in_the_table():
    from studies.calibrate import CANDIDATES, LAST, compared, rules_of
    from studies.pages import DOCS
    from studies.tables import read_rows

    policies = compared()
    assert policies[0] == rules_of("default")
    assert {rule.defense for policy in policies for rule in policy} <= {*CANDIDATES, LAST}
    table = read_rows(DOCS / "policies" / "neighbours.csv")
    assert [policy_text(policy) for policy in policies] == [row["policy"] for row in table]
