"""The scenario adaptive, from the plan to the report, with real attacks through real defenses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsparse.attacks import parse_attack
from rsparse.errors import InputError
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.names import ADAPTIVE, GRAY_BOX
from rsparse.evaluation.scenarios import parse_scenarios
from rsparse.evaluation.statistics import accuracy
from rsparse.report.knowledge import left, strengths
from rsparse.report.subjects import find_subjects
from rsparse.store.folders import read_manifest
from tests.colour_evaluations import make_images, read_csv
from tests.colours import MODEL
from tests.conftest import REPOSITORY

pytest.importorskip("torch")

DICT = REPOSITORY / "fixtures" / "dict.h5"
FEW = ("--max-images", 5, "-j", 1)


def specs(*texts: str) -> tuple:
    return tuple(attack for text in texts for attack in parse_attack(text))


def test_the_worst_case_takes_the_place_of_attacks_limited_in_linf():
    (scenario,) = parse_scenarios(["adaptive"])
    given = specs("bim:eps=2,8", "fgsm:eps=8", "cw-l2", "bim:eps=4,target=random")
    assert scenario.attacks_of(given) == specs(
        "adaptive:eps=2,8", "cw-l2", "bim:eps=4,target=random"
    )
    (fast,) = parse_scenarios(["adaptive:fast=yes"])
    assert fast.attacks_of(specs("bim:eps=8")) == specs("adaptive:eps=8,fast=yes")
    (own,) = parse_scenarios(["adaptive:attacks=given"])
    assert own.attacks_of(given) == given
    with pytest.raises(InputError, match="attacks: expected one of worst-case, given"):
        parse_scenarios(["adaptive:attacks=mine"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    from typer.testing import CliRunner

    from rsparse.cli import app

    root = tmp_path_factory.mktemp("adaptive")
    words = ("evaluate", make_images(root / "imgs"), "-m", MODEL, "-a", "bim:eps=8,steps=3",
             "--defense", "regionsparse:sparsity=1", "--defense", "median", "-d", DICT,
             "--scenario", "adaptive:fast=yes", *FEW, "-o", root / "eval")  # fmt: skip
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.stderr
    (root / "stderr.txt").write_text(result.stderr)
    return root


def test_gray_box_is_evaluated_beside_it(whole):
    found = load_evaluation(whole / "eval")
    subjects = find_subjects(found)
    assert subjects.scenarios == (ADAPTIVE, GRAY_BOX)
    assert strengths(subjects) == [("eps", 8.0)]
    throughs = [c.through for c in found.columns if c.scenario == ADAPTIVE]
    assert throughs == ["", "regionsparse-sparsity=1", "median-size=3"]


def test_an_attacker_who_knows_leaves_no_more_than_one_who_does_not(whole):
    subjects = find_subjects(load_evaluation(whole / "eval"))
    for defense in subjects.evaluation.defenses:
        both = [
            left(subjects, scenario, defense, ("eps", 8.0)) for scenario in (ADAPTIVE, GRAY_BOX)
        ]
        assert both[0].correct <= both[1].correct, defense.text


def test_the_files_keep_within_eps(whole):
    found = load_evaluation(whole / "eval")
    for column in found.columns:
        if column.scenario == ADAPTIVE:
            assert column.linf.max() <= 8


def test_the_search_without_gradients_is_made_through_each_defense(whole):
    checks = {
        (c["name"], c["scenario"], c["defense"]): c for c in read_csv(whole / "eval/checks.csv")
    }
    for defense in ("regionsparse-sparsity=1", "median-size=3"):
        check = checks["gradient-based attacks beat gradient-free ones", ADAPTIVE, defense]
        assert check["outcome"] != "not run" or "no image is right" in check["detail"]
        place = whole / f"eval/attacks/colours/through-{defense}"
        assert any(path.name.startswith("square-eps=8") for path in place.iterdir())
        huge = checks["a huge eps reaches chance", ADAPTIVE, defense]
        assert huge["outcome"] != "not run"


def test_there_is_a_line_for_each_photograph_and_defense(whole):
    rows = read_csv(whole / "eval/adaptive.csv")
    found = load_evaluation(whole / "eval")
    assert len(rows) == 3 * len(found.names)
    assert {row["defense"] for row in rows} == {d.text for d in found.defenses}
    for row in rows:
        assert row["by"]
        assert int(row["linf"]) <= 8
        assert int(row["steps"]) <= int(row["queries"])


def test_the_checks_know_an_attack_that_stops_early(whole):
    checks = {(c["name"], c["scenario"]): c for c in read_csv(whole / "eval/checks.csv")}
    assert checks["attacks use up their limit", ADAPTIVE]["outcome"] != "fail"
    assert checks["steps lower the attack's loss", ADAPTIVE]["outcome"] in ("pass", "undecided")
    assert checks["steps lower the attack's loss", GRAY_BOX]["outcome"] == "not run"
    first = "the first gradient is not weaker than the others"
    assert checks[first, ADAPTIVE]["outcome"] in ("pass", "undecided")
    assert "found" in checks[first, ADAPTIVE]["detail"]
    assert checks[first, GRAY_BOX]["outcome"] == "not run"


def test_nothing_is_made_twice(whole, run_cli):
    words = ("evaluate", whole / "imgs", "-m", MODEL, "-a", "bim:eps=8,steps=3",
             "--defense", "regionsparse:sparsity=1", "--defense", "median", "-d", DICT,
             "--scenario", "adaptive:fast=yes", *FEW, "-o", whole / "eval",
             "--json")  # fmt: skip
    result = run_cli(*words)
    assert json.loads(result.stdout)["done"] == 0


def test_a_decision_based_attack_is_made_through_each_defense_and_compared(run_cli, tmp_path):
    """HopSkipJump has the classes alone, behind the defense; what it finds is a file."""
    words = ("evaluate", make_images(tmp_path / "imgs"), "-m", MODEL, "-a", "bim:eps=8,steps=3",
             "-a", "HopSkipJumpAttack:steps=1", "--defense", "median", "--no-extra-checks",
             "--scenario", "adaptive:fast=yes", *FEW, "-o", tmp_path / "eval")  # fmt: skip
    result = run_cli(*words)
    assert result.exit_code == 0, result.stderr
    (place,) = (tmp_path / "eval/attacks/colours/through-median-size=3").glob("HopSkipJump*")
    entries = read_manifest(place)["images"]
    assert all(entry["notes"]["queries"] > 20 for entry in entries)
    assert any(entry["success_defended"] for entry in entries)
    checks = {
        (c["name"], c["scenario"], c["defense"]): c for c in read_csv(tmp_path / "eval/checks.csv")
    }
    check = checks["gradient-based attacks beat gradient-free ones", ADAPTIVE, "median-size=3"]
    assert check["outcome"] in ("pass", "undecided")
    assert "HopSkipJumpAttack-steps=1 within eps 8" in check["detail"]


def test_the_report_puts_the_attacker_who_knows_first(whole, run_cli, tmp_path):
    result = run_cli("report", whole / "eval", "--dict", DICT, "-o", tmp_path / "page")
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "page/index.html").read_text()
    assert page.index("attacker knows the defense") < page.index("attacker does not know it")
    assert "these numbers are not robustness" in page
    assert (tmp_path / "page/data/knowledge.csv").exists()


def test_the_clean_accuracy_is_that_of_gray_box(whole):
    found = load_evaluation(whole / "eval")
    subjects = find_subjects(found)
    for defense in found.defenses:
        clean = [accuracy(found, subjects.clean_of(s), defense).correct for s in subjects.scenarios]
        assert clean[0] == clean[1]
