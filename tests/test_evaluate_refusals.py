"""``rsparse evaluate``: error messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsparse.evaluation.loading import load_evaluation
from tests.colour_evaluations import LEAST, plan
from tests.colours import MODEL, colours, picture, save
from tests.onnx_models import linear_classifier

pytest.importorskip("torch")

__all__ = ["colours"]  # the fixture


def test_a_missing_plan(assert_error, tmp_path):
    path = tmp_path / "plan.toml"
    assert_error(f"{path}: cannot be read: no such file or directory", "evaluate", path)


def test_options_together_with_a_plan(assert_error, tmp_path):
    path = plan(tmp_path, LEAST)
    hint = f"and a plan cannot be used together; set it in the plan {path}"
    assert_error(f"--model {hint}", "evaluate", path, "-m", MODEL)
    assert_error(f"--seed {hint}", "evaluate", path, "--seed", 1)
    assert_error(f"--input-size {hint}", "evaluate", path, "--input-size", 299)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("-a", "bim", "-o", "e"),
         "--model is missing; name the classifier, or give a plan (.toml)"),
        (("-a", "bim", "-m", MODEL), "--output (-o) is missing; name the output folder"),
        (("-m", MODEL, "-o", "e"), "no attack is given; pass --attack, such as bim:eps=8"),
        (("-m", MODEL, "-a", "bim", "-o", "e", "--defense", "regionsparse:dictionary=dct"),
         "regionsparse needs a dictionary named 'dct': --dict dct=dict.h5"),
        (("-m", MODEL, "-a", "bim", "-o", "e", "-d", "no.h5"), "no.h5: no such file"),
        (("-m", MODEL, "-a", "bim:eps=8,8", "-o", "e"),
         "attack 'bim:eps=8,8': gives the same attack twice"),
        (("-m", MODEL, "-a", "bim", "-a", "bim:eps=8", "-o", "e"),
         "the attack bim-eps=8 is given twice"),
        (("-m", MODEL, "-a", "bim", "-o", "e", "--source-model", "s.onnx"),
         "--source-model is now --scenario transfer:model=FILE"),
        (("-m", MODEL, "-a", "bim", "-o", "e", "--source-preset", "unit"),
         "--source-preset is now --scenario transfer:model=FILE,preset=NAME"),
        (("-m", MODEL, "-a", "bim", "-o", "e", "--retrained", "r.onnx"),
         "--retrained is now --scenario black-box:model=FILE or extended-gray-box:model=FILE"),
        (("-m", MODEL, "-a", "bim", "-o", "e", "--adversarial-training", "a.onnx"),
         "--adversarial-training is now --scenario adversarial-training:model=FILE"),
        (("-m", MODEL, "-a", "bim", "-o", "e", "--scenario", "transfer"),
         "scenario 'transfer': needs model=…, an ONNX file"),
    ],
)  # fmt: skip
def test_options_are_refused(run_cli, colours, options, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run_cli("evaluate", colours, *options)
    assert result.stderr.startswith(f"rsparse: error: {line}")
    assert result.stderr.count("\n") == 1
    assert result.exit_code == 2
    assert {path.name for path in tmp_path.iterdir()} == {"imgs"}


def test_images_without_labels(assert_error, tmp_path):
    save(tmp_path / "imgs/a.png", picture(0, 30))
    line = (
        f"{tmp_path / 'imgs'}: its images have no labels (the images are in no subfolders, and "
        "there is no labels.csv in their folder or beside it); pass --labels FILE, put the images "
        "into subfolders named after the classes, or pass --predicted-labels to take the model's "
        "own predictions as the right classes"
    )
    out = ("-a", "fgsm", "-o", tmp_path / "eval")
    assert_error(line, "evaluate", tmp_path / "imgs", "-m", MODEL, *out)
    assert_error(line, "evaluate", tmp_path / "imgs", "-m", MODEL, *out, "--dry-run")
    assert_error(line, "attack", tmp_path / "imgs", "-m", MODEL, *out)


def test_a_plan_beside_images_is_named(assert_error, colours, tmp_path):
    plan = tmp_path / "bad.toml"
    plan.write_text("model = 3")
    words = (colours, plan, "-m", MODEL, "-a", "fgsm", "-o", tmp_path / "out")
    line = f"{plan}: is no image; a plan is given alone, without images"
    assert_error(line, "evaluate", *words)


def test_predictions_can_take_the_place_of_labels(run_cli, tmp_path):
    for number in range(3):
        save(tmp_path / f"imgs/{number}.png", picture(number, 30))
    result = run_cli(
        "evaluate", tmp_path / "imgs", "-m", MODEL, "-a", "fgsm:eps=2", "--defense", "jpeg",
        "--predicted-labels", "--no-extra-checks", "-o", tmp_path / "eval",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = load_evaluation(tmp_path / "eval")
    assert found.labels.tolist() == [0, 1, 2]
    assert found.record["parameters"]["labels"] == "the model's own predictions"
    page = run_cli("report", tmp_path / "eval", "-o", tmp_path / "page")
    assert page.exit_code == 0
    text = (tmp_path / "page" / "index.html").read_text()
    assert "whose labels are the model&#39;s own predictions" in text


def assert_error_after_plan(line: str, folder: Path, *more: object) -> None:
    """Assert that the error is the last line on stderr, after the summary of the plan."""
    from typer.testing import CliRunner

    from rsparse.cli import app

    words = ("evaluate", folder / "imgs", "-m", MODEL, "-a", "fgsm", "-o", folder / "e", *more)
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.stderr.splitlines()[-1] == f"rsparse: error: {line}"
    assert (result.exit_code, result.stdout) == (2, "")


def test_labels_that_lack_an_image(tmp_path):
    save(tmp_path / "imgs/a.png", picture(0, 30))
    save(tmp_path / "imgs/b.png", picture(1, 30))
    (tmp_path / "l.csv").write_text("file,label\na.png,red\n")
    line = f"{tmp_path / 'l.csv'}: has no label for 'b'"
    assert_error_after_plan(line, tmp_path, "--labels", tmp_path / "l.csv")


def test_no_image_is_right(tmp_path):
    save(tmp_path / "imgs/red/a.png", picture(1, 30))
    line = (
        "none of the 1 images is classified correctly, so none is left to attack; check "
        "the labels and the model's input, or pass --all-images"
    )
    assert_error_after_plan(line, tmp_path)


def test_a_taken_folder(assert_error, colours, tmp_path):
    words = ("evaluate", colours, "-m", MODEL, "-a", "fgsm", "-o")
    assert_error(f"{colours / 'red/far.png'}: is a file; name a folder", *words,
                 colours / "red/far.png")  # fmt: skip
    (tmp_path / "e").mkdir()
    (tmp_path / "e/notes.txt").write_text("mine")
    line = f"{tmp_path / 'e'}: contains other files; choose an empty or new folder"
    assert_error(line, *words, tmp_path / "e", "--overwrite")


def test_an_evaluation_of_something_else(run_cli, colours, tmp_path):
    more = ("--no-extra-checks", "-j", 1)
    words = ("evaluate", colours, "-m", MODEL, "-a", "fgsm", "-o", tmp_path / "e", *more)
    assert run_cli(*words).exit_code == 0
    other_seed = run_cli(*words, "--seed", 1)
    assert other_seed.stderr.splitlines()[-1] == (
        f"rsparse: error: {tmp_path}/e/attacks/colours/fgsm-eps=8: was made from other images, "
        "with another model, or with another seed or batch size; choose another output or pass "
        "--overwrite"
    )
    save(colours / "red/new.png", picture(0, 50))
    changed = run_cli(*words)
    assert changed.stderr.splitlines()[-1] == (
        f"rsparse: error: {tmp_path}/e: contains an evaluation of other images, other labels or "
        "another model; choose another output or pass --overwrite"
    )
    assert changed.exit_code == 2
    again = run_cli(*words, "--overwrite", "--json")
    assert again.exit_code == 0, again.stderr
    assert '"images": 5' in again.stdout


def test_a_source_with_other_classes(assert_error, colours, tmp_path):
    source = linear_classifier(tmp_path / "two.onnx", np.ones((2, 3 * 4 * 4)), (4, 4))
    line = (
        f"{source}: expected 3 classes, as the judged model has, got 2; both models must have the "
        "same classes"
    )
    transfer = ("--scenario", f"transfer:model={source},preset=unit")
    words = ("evaluate", colours, "-m", MODEL, "-a", "fgsm", "-o", tmp_path / "e")
    assert_error(line, *words, *transfer)


def test_a_defense_that_no_image_fits(colours, tmp_path):
    """If every image is smaller than a patch, one error names the first image."""
    from rsparse.core.dictionary import Dictionary
    from rsparse.store.dictionaries import save_dictionary
    from rsparse.store.records import DICTIONARY, Record

    atoms = np.eye(3 * 20 * 20, dtype=np.float32)[:8]
    record = Record(DICTIONARY, "learn-dict", {}, 0)
    save_dictionary(tmp_path / "big.h5", record, Dictionary(atoms, 20), {}, {})
    from typer.testing import CliRunner

    from rsparse.cli import app

    words = ("evaluate", colours, "-m", MODEL, "-a", "fgsm", "-o", tmp_path / "e",
             "--defense", "regionsparse", "-d", tmp_path / "big.h5")  # fmt: skip
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("rsparse: error: ")
