"""``rsparse evaluate --detector``: a detector sees the images before the defenses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from rsparse.evaluation.loading import load_evaluation
from rsparse.store.detections import load_detected
from rsparse.store.images import encode_png
from tests.colour_evaluations import TIMED, make_images
from tests.colours import MODEL
from tests.conftest import tree_of

pytest.importorskip("torch")

ATTACKS = ("-a", "fgsm:eps=2", "-a", "bim:eps=8")


def clean_pictures(folder: Path, n: int) -> Path:
    """Pictures of the colours of the test model, of another origin than those judged."""
    folder.mkdir()
    rng = np.random.default_rng(7)
    for number in range(n):
        pixels = np.full((24, 24, 3), 60, np.uint8)
        pixels[:, :, number % 3] = 120 + number
        noise = rng.integers(0, 2 + number % 5, pixels.shape)
        (folder / f"{number:02d}.png").write_bytes(encode_png((pixels + noise).astype(np.uint8)))
    return folder


@pytest.fixture
def reference(run_cli, tmp_path: Path) -> Path:
    path = tmp_path / "reference.h5"
    benign = clean_pictures(tmp_path / "benign", 24)
    scores = ("--score", "noise", "--score", "color")
    result = run_cli("detect", benign, "--calibrate", *scores, "-o", path)
    assert result.exit_code == 0, result.stderr
    return path


def arguments(images: Path, output: Path, *more: object) -> tuple[object, ...]:
    return ("evaluate", images, "-m", MODEL, *ATTACKS, "--defense", "jpeg:quality=20", "-j", 1,
            "--no-extra-checks", "-o", output, *more)  # fmt: skip


def test_it_rejects_what_detect_detects(run_cli, tmp_path, reference):
    images, output = make_images(tmp_path / "imgs"), tmp_path / "eval"
    result = run_cli(*arguments(images, output, "--detector", reference, "--json"))
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["detector"]["false_alarms"] == 0.05
    assert told["detector"]["caveat"].startswith("An attacker who knows the detector evades it")
    assert "rejected by the detector, gray-box" not in result.stderr  # --json prints no tables
    evaluation = load_evaluation(output)
    for column in evaluation.columns:
        place = (
            Path("clean") if column.attack == "clean" else Path("attacks/colours", column.attack)
        )
        folder = output / place
        table = output / "detections" / place.with_name(f"{place.name}.csv")
        alone = tmp_path / f"{column.attack}.csv"
        run_cli("detect", folder, "--reference", reference, "-o", alone)
        assert alone.read_bytes() == table.read_bytes()
        with table.open() as file:
            found = {row["name"]: row["detected"] == "yes" for row in csv.DictReader(file)}
        assert [found[name] for name in evaluation.names] == column.rejected.tolist()
        assert len(load_detected(table)[0]) == len(set(load_detected(table)[0]))
    rows = {(row["attack"], row["defense"]): row for row in told["results"]}
    for row in rows.values():
        three = row["right_accepted"] + row["wrong_accepted"] + row["rejected"]
        assert three == pytest.approx(1)
    assert rows["bim-eps=8", "none"]["rejected"] == rows["bim-eps=8", "jpeg-quality=20"]["rejected"]
    assert run_cli("verify", output / "detections/clean.csv").exit_code == 0


def test_what_was_examined_is_not_examined_again(run_cli, tmp_path, reference):
    images, output = make_images(tmp_path / "imgs"), tmp_path / "eval"
    result = run_cli(*arguments(images, output, "--detector", reference))
    assert "rejected by the detector, gray-box" in result.stderr
    first = {n: c for n, c in tree_of(output).items() if n not in TIMED}
    times = {p: p.stat().st_mtime_ns for p in (output / "detections").rglob("*.csv")}
    assert len(times) == 3
    assert run_cli(*arguments(images, output, "--detector", reference)).exit_code == 0
    assert {p: p.stat().st_mtime_ns for p in times} == times
    assert {n: c for n, c in tree_of(output).items() if n not in TIMED} == first
    more = ("--detector", reference, "--false-alarms", "0.2")
    assert run_cli(*arguments(images, output, *more)).exit_code == 0
    after = load_evaluation(output)
    assert after.detector["false_alarms"] == 0.2


def test_a_detector_leaves_attacks_and_trials_as_they_are(run_cli, tmp_path, reference):
    images, output = make_images(tmp_path / "imgs"), tmp_path / "eval"
    run_cli(*arguments(images, output))
    before = load_evaluation(output)
    assert before.detector is None
    result = run_cli(*arguments(images, output, "--detector", reference))
    assert "to do       0 attacks, 0 trials" in result.stderr
    after = load_evaluation(output)
    for trial, same in zip(after.trials, before.trials, strict=True):
        np.testing.assert_array_equal(trial.prediction, same.prediction)


def test_a_reference_of_the_judged_images_fails_a_check(run_cli, tmp_path):
    images, path = make_images(tmp_path / "imgs"), tmp_path / "own.h5"
    level = ("--false-alarms", "0.2")
    run_cli("detect", images, "--calibrate", "--score", "noise", *level, "-o", path)
    result = run_cli(*arguments(images, tmp_path / "eval", "--detector", path, *level))
    assert result.exit_code == 0, result.stderr
    told = "check failed: nothing was learned from the images: made from the judged images: own.h5"
    assert told in result.stderr


def test_a_plan_names_it_relative_to_its_file(run_cli, tmp_path, reference):
    make_images(tmp_path / "imgs")
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'images = "imgs"\nmodel = "{MODEL}"\nattack = "fgsm:eps=2"\ndefense = "median"\n'
        'detector = "reference.h5"\nfalse-alarms = 0.1\noutput = "eval"\nextra-checks = false\n'
    )
    assert run_cli("evaluate", plan).exit_code == 0
    assert load_evaluation(tmp_path / "eval").detector["false_alarms"] == 0.1


def test_it_refuses_what_is_no_reference(assert_error, tmp_path, reference):
    images = make_images(tmp_path / "imgs")
    assert_error(
        f"--detector: {tmp_path / 'benign'} is a folder; make a file from it with rsparse detect "
        f"{tmp_path / 'benign'} --calibrate",
        *arguments(images, tmp_path / "eval", "--detector", tmp_path / "benign"),
    )
    assert_error(
        "--false-alarms 0.01: the reference has 24 clean images, with which no p-value is below "
        "1/25; take 99 or more, or more false alarms",
        *arguments(images, tmp_path / "eval", "--detector", reference, "--false-alarms", "0.01"),
    )
    assert not (tmp_path / "eval").exists()
