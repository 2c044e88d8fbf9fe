"""``rsparse evaluate``: plans in files, and what it refuses in which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsparse.attacks import Bim, Fgsm
from rsparse.defenses import defense_text
from rsparse.evaluation.plan_file import read_plan
from rsparse.evaluation.scenarios import SOURCE
from rsparse.models.spec import InputOptions
from tests.conftest import REPOSITORY
from tests.onnx_models import linear_classifier
from tests.refusals import refused
from tests.test_attack_command import MODEL, colours, picture, save

pytest.importorskip("torch")

__all__ = ["colours"]  # the fixture
DICT = REPOSITORY / "fixtures" / "dict.h5"
LEAST = 'images = "imgs"\nmodel = "m.onnx"\nattack = "bim"\noutput = "eval"\n'


def plan(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plans_paths_are_relative_to_its_folder(tmp_path):
    found = read_plan(plan(tmp_path, LEAST + 'labels = "l.csv"\ndict = ["d.h5", "f=f.h5"]\n'))
    assert found.images == (tmp_path / "imgs",)
    assert found.labels == tmp_path / "l.csv"
    assert found.model.path == tmp_path / "m.onnx"
    assert found.dictionaries == {"": tmp_path / "d.h5", "f": tmp_path / "f.h5"}
    assert found.output == tmp_path / "eval"
    assert found.parameters.only_correct
    assert [defense_text(defense) for defense in found.defenses] == ["none"]
    assert read_plan(tmp_path / "plan.toml", Path("other")).output == Path("other")


def test_a_plan_says_all_that_options_say(tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    found = read_plan(plan(tmp_path, """
        images = ["a", "b"]
        attack = ["fgsm:eps=2,10", "bim:eps=8"]
        defense = ["none", "jpeg:quality=20,75"]
        scenario = ["gray-box", "transfer"]
        output = "eval"
        only-correct = false
        checks = false
        limit = 7
        seed = 3
        [model]
        file = "m.onnx"
        input-size = 299
        mean = 0.5
        std = [0.1, 0.2, 0.3]
        class-names = "names.txt"
        [[source-model]]
        file = "s.onnx"
        preset = "inception-v3"
    """))  # fmt: skip
    assert found.attacks == (Fgsm(2), Fgsm(10), Bim(8))
    texts = [defense_text(defense) for defense in found.defenses]
    assert texts == ["none", "jpeg-quality=20", "jpeg-quality=75"]
    assert found.model.input_options == InputOptions(
        size=(299, 299), mean=(0.5,) * 3, std=(0.1, 0.2, 0.3), labels=("cat", "dog")
    )
    assert found.models_of(SOURCE)[0].input_options == InputOptions(preset="inception-v3")
    assert [(t.scenario.name, t.attacked.name) for t in found.threats] == [
        ("gray-box", "m"), ("transfer", "s"),
    ]  # fmt: skip
    parameters = found.parameters
    assert (parameters.only_correct, parameters.checks, parameters.limit) == (False, False, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images = [", "is not valid TOML: Invalid value (at end of document)"),
        (LEAST + "lables = 'l.csv'", "unknown key 'lables'; did you mean labels? Known: images, "
         "labels, model, attack, defense, dict, scenario, source-model, retrained, "
         "adversarial-training, output, only-correct, "
         "limit, checks, batch-size, seed, device"),
        ('images = "a"\nmodel = "m.onnx"\n', "lacks attack"),
        (LEAST.replace('output = "eval"', ""),
         "lacks output; add it, or name the folder with -o"),
        (LEAST + "seed = 'x'", "seed: expected a whole number from 0 to 4294967295, got 'x'"),
        (LEAST + "labels = 3", "labels: expected a text, got 3"),
        (LEAST + "defense = [1]", "defense: expected a text or a list of texts, got [1]"),
        (LEAST + "defense = 'jpg'", None),
        (LEAST + "scenario = 'grey-box'",
         "unknown scenario 'grey-box'; did you mean gray-box? Known: gray-box, transfer, "
         "black-box, extended-gray-box, adversarial-training, adversarial-training-black-box"),
        (LEAST.replace('model = "m.onnx"', "") + "[model]\npreset = 'unit'", "model: lacks file"),
        (LEAST.replace('model = "m.onnx"', "") + "[model]\nfile = 'm'\nmaen = 1",
         "model: unknown key 'maen'; did you mean mean? Known: file, preset, input-size, mean, "
         "std, input-range, channels, layout, class-offset, class-names"),
        (LEAST + "source-model = 's.onnx'",
         "--source-model is used only with --scenario transfer"),
        (LEAST + "scenario = 'black-box'",
         "scenario black-box needs --retrained, the model retrained on purified images"),
        (LEAST + "retrained = 'r.onnx'",
         "--retrained is used only with --scenario black-box or extended-gray-box"),
        (LEAST + "scenario = 'black-box'\nretrained = ['r.onnx', 'r.onnx']",
         "--retrained: {folder}/r.onnx is named twice"),
        (LEAST + "scenario = 'black-box'\nretrained = 'm.onnx'",
         "--retrained: {folder}/m.onnx is named twice"),
        (LEAST + "scenario = 'black-box'\nretrained = 'new/m.onnx'",
         "{folder}/new/m.onnx and {folder}/m.onnx would both be named 'm'; rename a copy of one"),
        (LEAST + "scenario = 'adversarial-training'",
         "scenario adversarial-training needs --adversarial-training, the adversarially trained "
         "model"),
        (LEAST + "scenario = 'transfer'",
         "scenario transfer needs --source-model, the model to attack"),
        (LEAST + "dict = ['a.h5', 'b.h5']",
         "--dict: a dictionary without a name is given twice; write --dict NAME=b.h5"),
        (LEAST + "defense = ['median', 'median:size=3']",
         "the defense median-size=3 is named twice"),
    ],
)  # fmt: skip
def test_a_plan_is_refused(tmp_path, text, message):
    path = plan(tmp_path, text)
    if message is None:
        with pytest.raises(Exception, match=rf"{path}: unknown defense 'jpg'; did you mean jpeg\?"):
            read_plan(path)
    else:
        with refused(f"{path}: {message.format(folder=tmp_path)}"):
            read_plan(path)


def test_a_plan_that_is_not_there(assert_error, tmp_path):
    path = tmp_path / "plan.toml"
    assert_error(f"{path}: cannot be read: no such file or directory", "evaluate", path)


def test_options_beside_a_plan(assert_error, tmp_path):
    path = plan(tmp_path, LEAST)
    assert_error(f"--model belongs into the plan {path}", "evaluate", path, "-m", MODEL)
    assert_error(f"--seed belongs into the plan {path}", "evaluate", path, "--seed", 1)
    assert_error(
        f"--input-size belongs into the plan {path}", "evaluate", path, "--input-size", 299
    )


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("-a", "bim", "-o", "e"), "name the classifier with --model, or give a plan (.toml)"),
        (("-a", "bim", "-m", MODEL), "name the output folder with -o"),
        (("-m", MODEL, "-o", "e"), "no attack is named; pass --attack, such as bim:eps=8"),
        (("-m", MODEL, "-a", "bim", "-o", "e", "--defense", "regionsparse"),
         "regionsparse needs a dictionary: --dict dict.h5"),
        (("-m", MODEL, "-a", "bim", "-o", "e", "-d", "no.h5"), "no.h5: no such file"),
        (("-m", MODEL, "-a", "bim:eps=8,8", "-o", "e"),
         "attack 'bim:eps=8,8': gives the same attack twice"),
        (("-m", MODEL, "-a", "bim", "-a", "bim:eps=8", "-o", "e"),
         "the attack bim-eps=8 is named twice"),
        (("-m", MODEL, "-a", "bim", "-o", "e", "--source-preset", "unit", "--source-preset",
          "unit", "--source-model", "s.onnx", "--scenario", "transfer"),
         "--source-preset: expected one, or one for each of 1 --source-model, got 2"),
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
    assert_error_after_plan(
        f"{tmp_path / 'imgs'}: its images have no labels; pass --labels with a CSV file, or put "
        "them into subfolders named like the classes",
        tmp_path,
    )


def assert_error_after_plan(line: str, folder: Path, *more: object) -> None:
    """The plan's summary comes first, then the one line."""
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
        "none of the 1 images is classified correctly, so that --only-correct leaves none; are "
        "the labels and the model's input as they should?"
    )
    assert_error_after_plan(line, tmp_path)


def test_a_taken_folder(assert_error, colours, tmp_path):
    words = ("evaluate", colours, "-m", MODEL, "-a", "fgsm", "-o")
    assert_error(f"{colours / 'red/far.png'}: is a file; name a folder", *words,
                 colours / "red/far.png")  # fmt: skip
    (tmp_path / "e").mkdir()
    (tmp_path / "e/notes.txt").write_text("mine")
    line = f"{tmp_path / 'e'}: holds other files; choose an empty or new folder"
    assert_error(line, *words, tmp_path / "e", "--overwrite")


def test_an_evaluation_of_something_else(run_cli, colours, tmp_path):
    more = ("--no-checks", "-j", 1)
    words = ("evaluate", colours, "-m", MODEL, "-a", "fgsm", "-o", tmp_path / "e", *more)
    assert run_cli(*words).exit_code == 0
    other_seed = run_cli(*words, "--seed", 1)
    assert other_seed.stderr.splitlines()[-1] == (
        f"rsparse: error: {tmp_path}/e/attacks/colours/fgsm-eps=8: was made from other images, by "
        "another model, or with another seed or batch size; choose another output or pass "
        "--overwrite"
    )
    save(colours / "red/new.png", picture(0, 50))
    changed = run_cli(*words)
    assert changed.stderr.splitlines()[-1] == (
        f"rsparse: error: {tmp_path}/e: holds an evaluation of other images, labels, or another "
        "model; choose another output or pass --overwrite"
    )
    assert changed.exit_code == 2
    again = run_cli(*words, "--overwrite", "--json")
    assert again.exit_code == 0, again.stderr
    assert '"images": 5' in again.stdout


def test_a_source_with_other_classes(assert_error, colours, tmp_path):
    source = linear_classifier(tmp_path / "two.onnx", np.ones((2, 3 * 4 * 4)), (4, 4))
    line = f"{source}: has 2 classes, the judged model 3; labels have to mean the same for both"
    transfer = ("--scenario", "transfer", "--source-model", source, "--source-preset", "unit")
    words = ("evaluate", colours, "-m", MODEL, "-a", "fgsm", "-o", tmp_path / "e")
    assert_error(line, *words, *transfer)


def test_a_defense_that_no_image_fits(colours, tmp_path):
    """Every image is smaller than a patch: said once, for the first."""
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
