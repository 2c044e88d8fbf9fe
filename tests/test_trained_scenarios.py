"""Scenarios in which a retrained model is judged: folders, columns, figures and tables."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsparse.evaluation import statistics
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.names import (
    ADVERSARIAL_TRAINING,
    ADVERSARIAL_TRAINING_BLACK_BOX,
    BLACK_BOX,
    EXTENDED_GRAY_BOX,
    GRAY_BOX,
)
from rsparse.report.figures import charted_scenarios
from rsparse.report.page import render_page
from rsparse.report.pictures import Gallery
from rsparse.report.sections import figures_of
from rsparse.report.subjects import find_subjects
from rsparse.report.verdict import verdicts
from tests.colour_evaluations import DICT, make_images, untimed
from tests.colours import MODEL
from tests.evaluations import make_evaluation
from tests.onnx_models import linear_classifier

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """A retrained and an adversarially trained classifier of the mean colour, with their tags."""
    from typer.testing import CliRunner

    from rsparse.cli import app

    folder, found = tmp_path_factory.mktemp("models"), {}
    (folder / "plain").mkdir()
    colour = np.repeat(np.eye(3), 16 * 16, axis=1) / 256
    for name, scale in (("retrained", 20), ("adversarial", 10)):
        plain = linear_classifier(folder / "plain" / f"{name}.onnx", colour * scale, (16, 16))
        found[name] = folder / f"{name}.onnx"
        words = ("model", "tag", plain, "-o", found[name], "--preset", "unit")
        result = CliRunner().invoke(app, list(map(str, words)))
        assert result.exit_code == 0, result.stderr
    return found


def arguments(images: Path, output: Path, *more: object) -> tuple[object, ...]:
    return ("evaluate", images, "-m", MODEL, "-a", "fgsm:eps=2,8", "-a", "bim:eps=8",
            "--defense", "regionsparse:sparsity=1", "--defense", "jpeg:quality=20", "-d", DICT,
            "-j", 1, "-o", output, "--json", *more)  # fmt: skip


def trained(models: dict[str, Path]) -> tuple[object, ...]:
    specs = [
        "gray-box",
        f"black-box:model={models['retrained']}",
        f"extended-gray-box:model={models['retrained']}",
        f"adversarial-training-black-box:model={models['adversarial']}",
        f"adversarial-training:model={models['adversarial']}",
    ]
    return tuple(word for spec in specs for word in ("--scenario", spec))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, models) -> Path:
    from typer.testing import CliRunner

    from rsparse.cli import app

    root = tmp_path_factory.mktemp("trained")
    words = arguments(make_images(root / "imgs"), root / "eval", *trained(models))
    shown = [str(word) for word in words if word != "--json"]
    result = CliRunner().invoke(app, shown)
    assert result.exit_code == 0, result.stderr
    (root / "stderr.txt").write_text(result.stderr)
    return root


def test_each_scenario_has_its_attacked_and_its_judging_model(whole):
    found = load_evaluation(whole / "eval")
    assert statistics.threats(found) == [
        (GRAY_BOX, "colours", "colours"),
        (BLACK_BOX, "colours", "retrained"),
        (EXTENDED_GRAY_BOX, "retrained", "retrained"),
        (ADVERSARIAL_TRAINING_BLACK_BOX, "colours", "adversarial"),
        (ADVERSARIAL_TRAINING, "adversarial", "adversarial"),
    ]
    cleans = [column.judged for column in found.columns if column.attack == "clean"]
    assert cleans == ["colours", "retrained", "adversarial"]
    assert len(found.trials) == (3 + 5 * 3) * 3
    assert {path.name for path in (whole / "eval/attacks").iterdir()} == {
        "colours", "retrained", "adversarial",
    }  # fmt: skip
    text = (whole / "stderr.txt").read_text()
    assert "black-box, attacks on colours, judged retrained" in text
    assert "3 models" in text


def test_a_black_box_judge_says_what_it_says_to_the_attacked_folder(whole, models, run_cli):
    """The trials equal the results of purify followed by classify."""
    found = load_evaluation(whole / "eval")
    attacked, purified = whole / "eval/attacks/colours/bim-eps=8", whole / "purified"
    ours = next(d for d in found.defenses if d.kind == "regionsparse")
    assert (
        run_cli("purify", attacked, "--dict", DICT, "-o", purified, "--sparsity", 1).exit_code == 0
    )
    result = run_cli("classify", purified, "-m", models["retrained"], "--json",
                     "-o", whole / "said.h5")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    from rsparse.store.predictions import load_predictions

    said = {row.name: row.classes[0] for row in load_predictions(whole / "said.h5")[0]}
    column = next(c for c in found.columns if (c.scenario, c.attack) == (BLACK_BOX, "bim-eps=8"))
    assert [said[name] for name in found.names] == found.trial(column, ours).prediction.tolist()


def test_an_evaluation_without_trained_models_is_taken_up(whole, models, tmp_path, run_cli):
    """Attacks and trials of the judged model are reused; the result is the same."""
    images, output = whole / "imgs", tmp_path / "eval"
    assert run_cli(*arguments(images, output)).exit_code == 0
    before = {p: p.stat().st_mtime_ns for p in output.rglob("*.*") if p.parent != output}
    result = run_cli(*arguments(images, output, *trained(models)))
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["resumed"] == 23
    assert {path: path.stat().st_mtime_ns for path in before} == before
    both = untimed(output), untimed(whole / "eval")
    assert both[0] == both[1]


def test_a_plan_says_the_same(whole, models, tmp_path, run_cli):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f"""
        images = "{whole / "imgs"}"
        attack = ["fgsm:eps=2,8", "bim:eps=8"]
        defense = ["regionsparse:sparsity=1", "jpeg:quality=20"]
        scenario = [
          "gray-box",
          "black-box:model={models["retrained"]}",
          "extended-gray-box:model={models["retrained"]}",
          "adversarial-training-black-box:model={models["adversarial"]}",
          {{name = "adversarial-training", model = "{models["adversarial"]}"}},
        ]
        output = "{whole / "eval"}"
        dict = "{DICT}"
        model = "{MODEL}"
        """
    )
    before = untimed(whole / "eval")
    found = json.loads(run_cli("evaluate", plan, "--json").stdout)
    assert found["done"] == 0
    assert untimed(whole / "eval") == before
    assert {row["judged"] for row in found["results"]} == {"colours", "retrained", "adversarial"}


def test_a_dry_run_counts_shared_attacks_once(whole, models, tmp_path, run_cli):
    words = arguments(whole / "imgs", tmp_path / "eval", *trained(models), "--dry-run")
    found = json.loads(run_cli(*words).stdout)
    assert (found["threats"], found["models_attacked"]) == (5, 3)
    assert found["attacks_left"] == 3 * (3 + 5)  # those of the plan and of the checks
    assert found["trials"] == (3 + 5 * 6) * 3 + 3 * 2  # two checks only without a defense


@pytest.fixture
def subjects():
    return find_subjects(make_evaluation(trained=True))


def test_figures_6_and_7_have_groups_of_their_own(subjects):
    assert charted_scenarios(subjects) == [
        BLACK_BOX, EXTENDED_GRAY_BOX, ADVERSARIAL_TRAINING, ADVERSARIAL_TRAINING_BLACK_BOX,
    ]  # fmt: skip
    figures = figures_of(subjects)
    assert [f.title for f in figures if f.group == BLACK_BOX] == [
        f"{family}, made on mobilenet-v2" for family in ("fgsm", "bim", "mi-fgsm", "cw-l2")
    ]
    chosen = next(f for f in figures if f.group == EXTENDED_GRAY_BOX and f.title == "bim")
    rows = list(csv.DictReader(io.StringIO(chosen.csv())))
    row = next(r for r in rows if (r["defense"], r["eps"]) == ("tvm", "6"))
    evaluation = subjects.evaluation
    column = next(c for c in subjects.columns(EXTENDED_GRAY_BOX) if c.attack == "bim-eps=6")
    tvm = next(d for d in evaluation.defenses if d.text == "tvm")
    assert float(row["accuracy"]) == pytest.approx(evaluation.correct(column, tvm).mean())
    keys = [figure.key for figure in figures]
    assert len(set(keys)) == len(keys)
    page = render_page(subjects, figures, Gallery())
    for key in ("figures-0", "figures-1", "figures-2", "figures-3", "table-two"):
        assert f'<section id="{key}"' in page
        assert f'href="#{key}"' in page


def test_the_verdict_says_what_retraining_adds(subjects):
    first = next(v for v in verdicts(subjects) if v.scenario == BLACK_BOX).sentences[0]
    ours = subjects.judged
    gap = subjects.mean(ours, BLACK_BOX) - subjects.mean(ours, GRAY_BOX)
    assert "(attacks made on mobilenet-v2, judged by retrained)" in first
    assert f"That is +{100 * gap:.1f} points compared with mobilenet-v2 under" in first
    assert "points compared with" not in verdicts(subjects)[0].sentences[0]


def test_several_retrained_models_are_told_apart():
    """With two retrained models there are two black-box scenarios but one gray-box scenario."""
    whole = make_evaluation(trained=True, transfer=False)
    few = tuple(c for c in whole.columns if c.family in ("clean", "bim"))  # each has a figure
    whole = replace(whole, columns=few)
    again = [
        replace(c, judged="other") for c in whole.columns
        if c.judged == "retrained" and c.scenario in ("", BLACK_BOX)
    ]  # fmt: skip
    trials = [
        replace(trial, column=c.key)
        for c in again
        for trial in whole.trials
        if trial.column == replace(c, judged="retrained").key
    ]
    subjects = find_subjects(
        replace(whole, columns=(*whole.columns, *again), trials=(*whole.trials, *trials))
    )
    assert subjects.scenarios == (
        GRAY_BOX, "black-box: retrained", EXTENDED_GRAY_BOX, ADVERSARIAL_TRAINING,
        ADVERSARIAL_TRAINING_BLACK_BOX, "black-box: other",
    )  # fmt: skip
    assert {c.judged for c in subjects.columns("black-box: other")} == {"other"}
    keys = [figure.key for figure in figures_of(subjects)]
    assert len(set(keys)) == len(keys)
    assert render_page(subjects, figures_of(subjects), Gallery())
