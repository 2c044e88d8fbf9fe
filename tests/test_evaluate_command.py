"""``rsparse evaluate``: the whole matrix on a classifier with known answers."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from rsparse.evaluation import statistics
from rsparse.evaluation.loading import load_evaluation
from rsparse.store.folders import read_manifest
from rsparse.store.predictions import load_predictions
from tests.colour_evaluations import DICT, arguments, make_images, read_csv, untimed
from tests.colours import MODEL
from tests.processes import start

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A finished evaluation of one scenario, in ``eval`` next to its ``imgs``."""
    from typer.testing import CliRunner

    from rsparse.cli import app

    root = tmp_path_factory.mktemp("whole")
    images = make_images(root / "imgs")
    result = CliRunner().invoke(app, list(map(str, arguments(images, root / "eval"))))
    assert result.exit_code == 0, result.stderr
    (root / "stderr.txt").write_text(result.stderr)
    return root


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """A copy that tests may change."""
    for name in ("imgs", "eval"):
        shutil.copytree(whole / name, tmp_path / name)
    return tmp_path


def test_what_it_writes(whole):
    found = load_evaluation(whole / "eval")
    assert (len(found.names), found.left_out, found.only_correct) == (8, 1, True)
    assert [column.attack for column in found.columns] == [
        "clean", "fgsm-eps=2", "fgsm-eps=8", "bim-eps=8",
    ]  # fmt: skip
    texts = [defense.text for defense in found.defenses]
    assert texts == ["none", "regionsparse-sparsity=1", "jpeg-quality=20"]
    assert found.model == "colours"
    assert statistics.accuracy(found, found.columns[0], found.defenses[0]).value == 1
    assert found.columns[1].linf.max() == 2
    assert all(defense.seconds is not None for defense in found.defenses)
    made = {path.name for path in (whole / "eval").iterdir()}
    assert made == {
        "clean", "attacks", "trials", "evaluation.h5", "timing.json", "results.csv",
        "defenses.csv", "images.csv", "classes.csv", "confusion.csv", "checks.csv",
    }  # fmt: skip


def test_the_undefended_row_equals_what_the_attack_measured(whole):
    found = load_evaluation(whole / "eval")
    for column in found.columns[1:]:
        manifest = read_manifest(whole / "eval/attacks/colours" / column.attack)
        expected = [entry["prediction"] for entry in manifest["images"]]
        assert found.trial(column, found.defenses[0]).prediction.tolist() == expected
        np.testing.assert_array_equal(column.d, [entry["d"] for entry in manifest["images"]])


def test_a_trial_equals_purify_and_classify(whole, tmp_path, run_cli):
    attacked = whole / "eval/attacks/colours/bim-eps=8"
    purified = ("purify", attacked, "--dict", DICT, "--sparsity", 1, "-o", tmp_path / "clean")
    assert run_cli(*purified).exit_code == 0
    classified = ("classify", tmp_path / "clean", "-m", MODEL, "-o", tmp_path / "pred.h5")
    assert run_cli(*classified).exit_code == 0
    expected, _ = load_predictions(tmp_path / "pred.h5")
    trial = whole / "eval/trials/colours/bim-eps=8/regionsparse-sparsity=1.h5"
    rows, record = load_predictions(trial)
    assert [(r.name, r.label, r.classes[0]) for r in rows] == [
        (r.name, r.label, r.classes[0]) for r in expected
    ]
    np.testing.assert_allclose(
        [r.probabilities[0] for r in rows], [r.probabilities[0] for r in expected], rtol=1e-6
    )
    entries = read_manifest(tmp_path / "clean")["images"]
    assert [row.done for row in rows] == [entry["done"] for entry in entries]
    assert [row.psnr for row in rows] == pytest.approx([entry["psnr"] for entry in entries])
    found = load_evaluation(whole / "eval")
    (treated,) = (
        t.treated
        for t in found.trials
        if t.defense == "regionsparse-sparsity=1" and t.column[-1] == "bim-eps=8"
    )
    assert treated.counts() == {"regionsparse:sparsity=1": len(rows)}
    assert [source["name"] for source in record["inputs"]] == ["bim-eps=8", MODEL.name, "dict.h5"]
    assert record["inputs"][0]["record"]["stage"] == "attack"
    assert record["inputs"][2]["record"]["format"] == "rsparse-dictionary"


def test_show_reads_every_artifact_in_it(whole, run_cli):
    """The folder, the images, the trials and the tables, which have the evaluation's record."""
    folder = whole / "eval"
    stages = {
        folder: "evaluate",
        folder / "evaluation.h5": "evaluate",
        folder / "clean": "select",
        folder / "clean/manifest.json": "select",
        folder / "attacks/colours/bim-eps=8": "attack",
        **dict.fromkeys(folder.glob("trials/**/*.h5"), "judge"),
        **dict.fromkeys(folder.glob("*.csv"), "evaluate"),
    }
    assert len(stages) >= 5 + 4 * 3 + 6  # and the trials of the checks
    for path, stage in stages.items():
        result = run_cli("show", path, "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["stage"] == stage
        assert run_cli("show", path).exit_code == 0
    rows = json.loads(run_cli("show", folder / "results.csv", "--json").stdout)["contents"]
    assert rows == {"rows": "12"}


def test_show_refuses_a_table_without_a_record(tmp_path, assert_error):
    path = tmp_path / "results.csv"
    path.write_text("name\n")
    assert_error(f"{path}: is not an rsparse artifact: it has no results.csv.json", "show", path)


def test_tables_and_checks(whole):
    rows = read_csv(whole / "eval/results.csv")
    assert len(rows) == 4 * 3
    assert {row["only_correct"] for row in rows} == {"yes"}
    assert len(read_csv(whole / "eval/images.csv")) == 4 * 3 * 8
    assert [row["scenario"] for row in read_csv(whole / "eval/defenses.csv")] == ["gray-box"] * 3
    checks = read_csv(whole / "eval/checks.csv")
    found = {row["name"]: row for row in checks if row["defense"] in ("", "none")}
    assert found["a huge eps reaches chance"]["outcome"] == "pass"
    assert found["iterative attacks beat one-step attacks"]["outcome"] == "undecided"  # 8 images
    assert found["images judged"]["detail"].startswith("8 images: only those that the un")
    assert found["adaptive attacks are strongest"]["outcome"] == "not run"
    assert "noise-eps=8" in found["random noise of the same norm is weaker"]["detail"]
    assert "steps=20" in found["doubling the steps gains nothing"]["detail"]
    text = (whole / "stderr.txt").read_text()
    assert "8 images, those that the model gets right" in text
    assert "at most 9, those that the model gets right" in text


@pytest.mark.slow
def test_jobs_change_no_byte(whole, tmp_path, run_cli):
    arguments_of = arguments(whole / "imgs", tmp_path / "eval")
    two = [2 if a == 1 else a for a in arguments_of]
    assert run_cli(*two).exit_code == 0
    assert untimed(tmp_path / "eval") == untimed(whole / "eval")


def test_a_killed_run_resumes_to_the_same_bytes(whole, tmp_path, run_cli):
    output, deadline = tmp_path / "eval", time.monotonic() + 100
    with start(*arguments(whole / "imgs", output)) as running:
        while len(list(output.glob("trials/*/*/*.h5"))) < 4:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.killpg(running.pid, signal.SIGKILL)
    assert not (output / "evaluation.h5").exists()
    result = run_cli(*arguments(whole / "imgs", output, "--json"))
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["resumed"] >= 4
    assert untimed(output) == untimed(whole / "eval")


def test_unfinished_files_of_a_killed_run_are_removed(copied, run_cli):
    torn = [copied / "eval" / f".0123456789abcdef.{number}.tmp" for number in (1, 2)]
    torn[1] = copied / "eval" / "trials" / torn[1].name
    for path in torn:
        path.write_bytes(b"half")
    own = copied / "eval" / "notes.tmp"
    own.write_bytes(b"a user's")
    assert run_cli(*arguments(copied / "imgs", copied / "eval")).exit_code == 0
    assert [path.exists() for path in torn] == [False, False]
    assert own.exists()


def test_leftover_journals_are_removed(copied, run_cli):
    """They remain if a run is killed just after writing a trial or manifest."""
    output = copied / "eval"
    before = untimed(output)
    for trial in (*output.glob("trials/*/*/*.h5"), *output.glob("trials/clean/*.h5")):
        trial.with_name(f".{trial.name}.rsparse-journal.jsonl").write_bytes(b"{}\n")
    for manifest in output.rglob("manifest.json"):
        manifest.with_name(".rsparse-journal.jsonl").write_bytes(b"{}\n")
    assert len(untimed(output)) > len(before) + 3
    assert run_cli(*arguments(copied / "imgs", output)).exit_code == 0
    assert untimed(output) == before


def test_two_runs_cannot_write_the_same_evaluation(copied, run_cli):
    place = os.open(copied / "eval", os.O_RDONLY)
    fcntl.flock(place, fcntl.LOCK_EX)
    result = run_cli(*arguments(copied / "imgs", copied / "eval"))
    os.close(place)
    line = f"rsparse: error: {copied / 'eval'}: is being written by another run"
    assert result.stderr.splitlines()[-1] == line  # after the plan
    assert (result.exit_code, result.stdout) == (2, "")


def test_an_added_defense_reuses_everything(copied, run_cli):
    output = copied / "eval"
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.h5")}
    before |= {path: path.stat().st_mtime_ns for path in output.rglob("*.png")}
    del before[output / "evaluation.h5"]
    more = arguments(copied / "imgs", output, "--defense", "median", "--json")
    dry = run_cli(*more, "--dry-run")
    assert json.loads(dry.stdout)["attacks_left"] == 0
    assert json.loads(dry.stdout)["trials_left"] == 7  # columns, including those for the checks
    found = json.loads(run_cli(*more).stdout)
    assert (found["done"], found["resumed"]) == (7, 23)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(found["results"]) == 4 * 4


def test_a_plan_file_equals_its_options(whole, run_cli):
    plan = whole / "plan.toml"
    plan.write_text(
        """
        images = "imgs"
        attack = ["fgsm:eps=2,8", "bim:eps=8"]
        defense = ["regionsparse:sparsity=1", "jpeg:quality=20"]
        scenario = "gray-box"
        only_correct = true
        batch-size = "auto"
        output = "eval"
        """
        f'dict = "{DICT}"\n[model]\nfile = "{MODEL}"\n'
    )
    before = untimed(whole / "eval")
    result = run_cli("evaluate", plan, "--json")
    assert json.loads(result.stdout)["done"] == 0, result.stderr
    assert untimed(whole / "eval") == before


def test_all_images_and_a_limit(tmp_path, run_cli):
    images = make_images(tmp_path / "imgs")
    result = run_cli(
        "evaluate", images, "-m", MODEL, "-a", "fgsm:eps=2", "-j", 1, "-o", tmp_path / "eval",
        "--all-images", "--max-images", 3, "--no-extra-checks",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = load_evaluation(tmp_path / "eval")
    assert found.names == ("blue/02", "green/04", "red/03")
    assert not found.only_correct
    assert "3 images, right or wrong before the attack" in result.stderr
    outcomes = {c.name: c.outcome for c in found.checks}
    assert outcomes["doubling the steps gains nothing"] == "not run"
    assert outcomes["a huge eps reaches chance"] == "not run"


def test_an_image_that_fails_is_reported_and_the_rest_is_done(tmp_path, run_cli):
    images = make_images(tmp_path / "imgs")
    (images / "red" / "broken.png").write_bytes(b"no picture")
    command = (
        "evaluate", images, "-m", MODEL, "-a", "fgsm:eps=2", "-j", 1, "-o", tmp_path / "eval",
        "--no-extra-checks",
    )  # fmt: skip
    line = f"rsparse: skipped: {images}/red/broken.png: is not a PNG, JPEG, WebP, TIFF or BMP image"
    for _ in range(2):
        result = run_cli(*command)
        assert result.exit_code == 1
        assert line in result.stderr.splitlines()
        assert len(load_evaluation(tmp_path / "eval").names) == 8
        (failed,) = json.loads(run_cli(*command, "--json").stdout)["failed"]
        assert (failed["name"], failed["path"]) == ("red/broken", f"{images}/red/broken.png")


def test_a_dry_run_writes_nothing(tmp_path, run_cli):
    images = make_images(tmp_path / "imgs")
    result = run_cli(*arguments(images, tmp_path / "eval", "--dry-run"))
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'eval'}\n"
    assert "8 attacks, 23 trials" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"imgs"}


def test_a_changed_dictionary_makes_its_trials_again(copied, run_cli):
    other = copied / "dict.h5"
    learned = run_cli("learn-dict", copied / "imgs", "-o", other, "--patch-size", 4, "-j", 1,
                      "--n-atoms", 20, "--patches-per-image", 50)  # fmt: skip
    assert learned.exit_code == 0, learned.stderr
    changed = [other if a == DICT else a for a in arguments(copied / "imgs", copied / "eval")]
    found = json.loads(run_cli(*changed, "--json").stdout)
    assert (found["done"], found["resumed"]) == (7, 16)


@pytest.mark.slow
def test_the_embedded_classifier_and_photographs(tmp_path, run_cli):
    from rsparse.data import demo_model, demo_photos

    dictionary = tmp_path / "dict.h5"
    assert run_cli("learn-dict", demo_photos("train"), "-o", dictionary).exit_code == 0
    result = run_cli(
        "evaluate", demo_photos("test"), "-m", demo_model(), "-a", "fgsm:eps=8",
        "-a", "bim:eps=2,8", "-a", "cw-l2:d=0.05", "--defense", "regionsparse:sparsity=1,2",
        "--defense", "jpeg:quality=20,75", "--defense", "median+jpeg:quality=75",
        "-d", dictionary, "-o", tmp_path / "eval",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = load_evaluation(tmp_path / "eval")
    by_text = {defense.text: defense for defense in found.defenses}
    none, ours = by_text["none"], by_text["regionsparse-sparsity=2"]
    bim = next(c for c in found.columns if c.attack == "bim-eps=8")
    assert statistics.accuracy(found, bim, none).value <= 0.05
    assert statistics.accuracy(found, bim, ours).value >= 0.7
    assert statistics.worst_case(found, ours).mean() <= statistics.mean_attacked(found, ours)
    assert {c.outcome for c in found.checks if c.defense == "none"} <= {
        "pass",
        "undecided",
        "not run",
    }
