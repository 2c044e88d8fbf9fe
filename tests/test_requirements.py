"""Requirements on an evaluation, JUnit's XML, and the example workflow."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
import yaml

from rsparse.data import demo_model, demo_photos
from rsparse.evaluation.names import ADAPTIVE, GRAY_BOX
from rsparse.evaluation.requirements import judge_requirement, parse_requirement
from rsparse.evaluation.results import CLEAN
from rsparse.evaluation.statistics import accuracy, clean_column
from rsparse.report.junit import render_junit
from tests.conftest import REPOSITORY
from tests.evaluations import FEW, make_eval_folder, make_evaluation
from tests.refusals import refused


@pytest.fixture(scope="module")
def evaluation():
    return make_evaluation(40, defenses=FEW, transfer=False)


def defense_of(evaluation, text: str):
    return next(defense for defense in evaluation.defenses if defense.text == text)


def found(evaluation, text: str):
    return judge_requirement(evaluation, parse_requirement(text), evaluation.defenses[1])


@pytest.mark.parametrize(
    ("text", "words", "least"),
    [
        ("adaptive.eps=2>=0.1", ("adaptive", "eps=2"), 0.1),
        ("gray-box.mi-fgsm.d=0.05>=40%", ("gray-box", "mi-fgsm", "d=0.05"), 0.4),
        ("bim.d=.05.jpeg-quality=20 >= .5", ("bim", "d=.05", "jpeg-quality=20"), 0.5),
        ("clean>=1", ("clean",), 1.0),
    ],
)
def test_requirements_are_words_and_a_share(text, words, least):
    requirement = parse_requirement(text)
    assert (requirement.words, requirement.least) == (words, least)


@pytest.mark.parametrize("text", ["", "adaptive", "adaptive>0.1", ">=0.1", "bim..eps>=x"])
def test_other_forms_are_refused(text):
    with refused(f"require: expected WHERE>=SHARE, such as adaptive.eps=2>=0.1, got {text!r}"):
        parse_requirement(text)
    with refused("require: expected a share from 0 to 1, or in %, got 'bim>=40'"):
        parse_requirement("bim>=40")


def test_the_share_is_of_images_right_under_every_named_attack(evaluation):
    """Counted by hand from the predictions."""
    defense = evaluation.defenses[1]
    clean = evaluation.correct(clean_column(evaluation), defense)
    right = {
        (column.scenario, column.family, column.strength): evaluation.correct(column, defense)
        for column in evaluation.columns
    }
    one = found(evaluation, "gray-box.bim.eps=6>=0.1")
    assert one.found.value == np.mean(clean & right[GRAY_BOX, "bim", 6.0])
    assert one.attacks == 1
    some = found(evaluation, "bim>=0.1")
    every = [flags for key, flags in right.items() if key[1] == "bim"]
    assert some.found.value == np.mean(np.logical_and.reduce([clean, *every]))
    assert some.attacks == len(every) > 1
    bare = found(evaluation, "clean>=0.1")
    assert (bare.found.value, bare.attacks) == (clean.mean(), 0)
    jpeg = found(evaluation, "clean.jpeg-quality=75>=0.1")
    named = defense_of(evaluation, "jpeg-quality=75")
    assert jpeg.found == accuracy(evaluation, clean_column(evaluation), named)
    assert jpeg.defense == "jpeg-quality=75"


def test_a_requirement_is_met_up_to_its_share(evaluation):
    share = found(evaluation, "bim>=0").found.value
    assert found(evaluation, f"bim>={share}").is_met
    outcome = found(evaluation, "bim>=1")
    assert not outcome.is_met
    assert outcome.sentence.startswith(f"bim>=1: NOT met: {share:.3f} of 40 images are right under")


@pytest.mark.parametrize("word", ["adaptiv", "eps=3", "cw", "jpeg-quality=21"])
def test_what_the_evaluation_lacks_is_refused(evaluation, word):
    with pytest.raises(Exception, match=f"require: the evaluation has no '{word}'") as caught:
        found(evaluation, f"{word}>=0.1")
    for known in (GRAY_BOX, "bim", "eps=2", "jpeg-quality=75", CLEAN):
        assert known in str(caught.value)


def test_junit_has_a_case_for_each_requirement_and_check(evaluation):
    outcomes = [found(evaluation, text) for text in ("bim>=0", "clean>=1")]
    root = Xml.fromstring(render_junit(outcomes, evaluation.checks))
    suites = {suite.get("name"): suite for suite in root}
    required = suites["requirements"]
    assert [case.get("name") for case in required] == ["bim>=0", "clean>=1"]
    assert (required.get("tests"), required.get("failures")) == ("2", "1")
    assert "NOT met" in required[1].find("failure").get("message")
    assert len(suites["checks"]) == len(evaluation.checks)
    failed = sum(check.outcome == "fail" for check in evaluation.checks)
    assert suites["checks"].get("failures") == str(failed)


def test_the_command_fails_if_a_requirement_is_not_met(evaluation, tmp_path, run_cli):
    folder = make_eval_folder(tmp_path / "eval", evaluation, [])
    options = ("report", folder, "--format", "junit", "-o")
    good = run_cli(*options, tmp_path / "good", "--require", "bim>=0")
    assert good.exit_code == 0
    assert good.stdout == f"{tmp_path / 'good' / 'junit.xml'}\n"
    assert "bim>=0: met: " in good.stderr
    bad = run_cli(*options, tmp_path / "bad", "--require", "bim>=0", "--require", "bim>=1")
    assert bad.exit_code == 1
    assert "bim>=1: NOT met: " in bad.stderr
    assert (tmp_path / "bad" / "junit.xml").exists()
    refused_ = run_cli(*options, tmp_path / "none", "--require", "cw>=0.1")
    assert refused_.exit_code == 2
    assert not (tmp_path / "none").exists()


def test_the_example_workflow_runs(tmp_path: Path, run_cli, monkeypatch):
    """Its commands, with a quick defense, one photograph and shares that anything reaches."""
    pytest.importorskip("foolbox")
    examples = REPOSITORY / "examples"
    workflow = yaml.safe_load((examples / "robustness.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["robustness"]["steps"]
    commands = [shlex.split(step["run"]) for step in steps if "rsparse " in step.get("run", "")]
    commands = [command[1:] for command in commands if command[0] == "rsparse"]
    assert [command[0] for command in commands] == ["evaluate", "report"]
    plan = (examples / "robustness.toml").read_text(encoding="utf-8")
    assert 'policy = ["default"]' in plan
    quick = plan.replace('policy = ["default"]', 'defense = ["median:size=3"]')
    (tmp_path / "robustness.toml").write_text(quick, encoding="utf-8")
    shutil.copy(demo_model(), tmp_path / "classifier.onnx")
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    shutil.copy(demo_photos("test") / "cat" / "00.png", tmp_path / "photos" / "cat")
    monkeypatch.chdir(tmp_path)
    assert run_cli(*commands[0]).exit_code == 0
    loose = [word if ">=" not in word else word.split(">=")[0] + ">=0" for word in commands[1]]
    result = run_cli(*loose)
    assert result.exit_code == 0, result.stderr
    root = Xml.parse(tmp_path / "ci" / "junit.xml").getroot()
    assert [case.get("name") for case in root[0]] == [w for w in loose if w.endswith(">=0")]
    assert any(ADAPTIVE in case.get("name") for case in root[0])
