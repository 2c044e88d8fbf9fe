"""``rsparse evaluate --adversarial``: images from another program beside rsparse's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.statistics import accuracy
from rsparse.store.folders import read_manifest
from tests.colour_evaluations import make_images, read_csv
from tests.colours import CLASSES, MODEL, read, save

pytest.importorskip("torch")

NAMES = [f"{CLASSES[i % 3]}/{i:02d}" for i in range(8)]  # the ninth is wrong before the attack


def made_elsewhere(images: Path, folder: Path, names: list[str]) -> Path:
    """Save every picture with its channels rotated by one, which changes its predicted class."""
    for name in names:
        save(folder / f"{name}.png", np.roll(read(images / f"{name}.png"), 1, axis=2))
    return folder


def run(run_cli, images: Path, out: Path, *more: object):
    return run_cli(
        "evaluate", images, "-m", MODEL, "--defense", "jpeg:quality=90", "-j", 1, "-o", out,
        "--json", *more,
    )  # fmt: skip


def test_images_made_elsewhere_are_judged_like_those_made_here(run_cli, tmp_path):
    images = make_images(tmp_path / "imgs")
    patch = made_elsewhere(images, tmp_path / "patched", [*NAMES, "red/wrong"])
    out = tmp_path / "eval"
    result = run(run_cli, images, out, "-a", "fgsm:eps=2", "--adversarial", f"patch={patch}")
    assert result.exit_code == 0, result.stderr
    evaluation = load_evaluation(out)
    assert [c.attack for c in evaluation.columns] == ["clean", "fgsm-eps=2", "patch"]
    column = evaluation.columns[-1]
    assert (column.scenario, column.source, column.judged) == ("made-elsewhere", "", "colours")
    assert evaluation.names == tuple(sorted(NAMES))
    for i, name in enumerate(evaluation.names):
        x, x_adv = (read(folder / f"{name}.png").astype(float) for folder in (images, patch))
        assert column.linf[i] == abs(x_adv - x).max()
        assert column.l2[i] == pytest.approx(np.linalg.norm((x_adv - x) / 255), abs=1e-5)
        assert column.d[i] == pytest.approx(np.linalg.norm(x_adv - x) / np.linalg.norm(x), abs=1e-5)
    none, jpeg = evaluation.defenses
    assert accuracy(evaluation, column, none).correct == 0
    trial = evaluation.trial(column, none)
    np.testing.assert_array_equal(trial.prediction, (evaluation.labels + 1) % 3)
    assert evaluation.trial(column, jpeg) is not None
    rows = [row for row in read_csv(out / "results.csv") if row["attack"] == "patch"]
    assert [row["defense"] for row in rows] == ["none", "jpeg-quality=90"]
    assert "made-elsewhere" in result.stderr
    manifest = read_manifest(out / "given" / "patch")
    assert manifest["inputs"][0]["name"] == "patched"
    again = run(run_cli, images, out, "-a", "fgsm:eps=2", "--adversarial", f"patch={patch}")
    assert json.loads(again.stdout)["resumed"] == json.loads(result.stdout)["done"]
    result = run_cli("report", out, "-o", tmp_path / "page.html")
    assert result.exit_code == 0, result.stderr


def test_only_images_that_the_folder_has_are_judged_and_no_attack_is_needed(run_cli, tmp_path):
    images = make_images(tmp_path / "imgs")
    other = made_elsewhere(images, tmp_path / "other", NAMES[:5])
    save(other / "unknown.png", read(images / f"{NAMES[0]}.png"))
    out = tmp_path / "eval"
    result = run(run_cli, images, out, "--adversarial", other)
    assert result.exit_code == 0, result.stderr
    assert load_evaluation(out).names == tuple(sorted(NAMES[:5]))
    assert (
        f"{other}: has 5 of 9 benign images (not 'blue/05'); only images that it has are evaluated"
        in result.stderr
    )


def test_a_folder_of_other_names_or_sizes_is_refused(run_cli, tmp_path):
    images = make_images(tmp_path / "imgs")
    other = tmp_path / "other"
    save(other / "x.png", np.zeros((16, 16, 3), np.uint8))
    result = run(run_cli, images, tmp_path / "eval", "--adversarial", other)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2,
        f"rsparse: error: {other}: none of its images has the name of a benign one; it has 'x', "
        "the benign images 'blue/02'",
    )
    large = tmp_path / "large"
    save(large / "blue" / "02.png", np.zeros((20, 30, 3), np.uint8))
    result = run(run_cli, images, tmp_path / "eval", "--adversarial", large)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2,
        f"rsparse: error: {large / 'blue/02.png'}: expected the size of the model's input (16×16) "
        f"or of the benign image {images / 'blue/02.png'} (16×16), got 30×20",
    )


def test_another_folder_under_the_same_name_is_not_taken_for_the_first(run_cli, tmp_path):
    images = make_images(tmp_path / "imgs")
    other = made_elsewhere(images, tmp_path / "other", NAMES)
    out = tmp_path / "eval"
    assert run(run_cli, images, out, "--adversarial", f"a={other}").exit_code == 0
    save(other / f"{NAMES[0]}.png", read(images / f"{NAMES[0]}.png"))
    result = run(run_cli, images, out, "--adversarial", f"a={other}")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2,
        f"rsparse: error: {out / 'given' / 'a'}: holds other images of that name; choose another "
        "output or pass --overwrite",
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("a=x", "a=y"), "--adversarial: the name 'a' is given twice; write --adversarial NAME=y"),
        (("a b=x",), "--adversarial: expected a name of letters, digits, '.', '_', '+' and '-', "
         "got 'a b'; write --adversarial NAME=x"),
    ],
)  # fmt: skip
def test_names_that_cannot_be_used(run_cli, tmp_path, given, message):
    options = [part for word in given for part in ("--adversarial", word)]
    result = run(run_cli, make_images(tmp_path / "imgs"), tmp_path / "eval", *options)
    assert (result.exit_code, result.stderr) == (2, f"rsparse: error: {message}\n")


def test_the_checks_of_images_made_elsewhere(run_cli, tmp_path):
    images = make_images(tmp_path / "imgs")
    out = tmp_path / "eval"
    black = tmp_path / "black"
    for name in NAMES:
        save(black / f"{name}.png", np.zeros((16, 16, 3), np.uint8))
    unchanged = tmp_path / "unchanged"
    for name in NAMES:
        save(unchanged / f"{name}.png", read(images / f"{name}.png"))
    moved = tmp_path / "moved"
    for name, other in zip(NAMES, [*NAMES[1:], NAMES[0]], strict=True):
        save(moved / f"{name}.png", read(images / f"{other}.png"))
    folders = (f"black={black}", f"same={unchanged}", f"moved={moved}")
    result = run(run_cli, images, out, *(w for f in folders for w in ("--adversarial", f)))
    assert result.exit_code == 0, result.stderr
    checks = read_csv(out / "checks.csv")
    mine = [c for c in checks if c["scenario"] == "made-elsewhere"]
    found = {c["name"]: c["outcome"] for c in mine}
    detail = next(c["detail"] for c in mine if c["name"] == "no failed attack counts as success")
    assert "moved: 8 of 8 images show the picture of another image" in detail
    assert found["no failed attack counts as success"] == "fail"
    assert found["attacks change the images"] == "fail"
    detail = next(c["detail"] for c in mine if c["name"] == "attacks change the images")
    assert "unchanged: the folder holds copies of the benign images, or its attack failed" in detail
    assert "gradient" not in detail
    assert found["the attacked model answers alike"] == "pass"
    assert "a huge eps reaches chance" not in found
