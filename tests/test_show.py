"""``rsparse show`` reads every kind of artifact that a command writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rsparse.cli import app
from rsparse.cli.show import _flat
from rsparse.defenses import parse_defense
from rsparse.models.onnx.file import load_onnx
from rsparse.models.onnx.provenance import ORIGIN_KEY
from rsparse.store.certificates import CERTIFICATES_FILE
from rsparse.store.folders import JOURNAL
from rsparse.store.pending import journal_of
from rsparse.store.records import FORMAT_VERSIONS
from tests.colours import MARGINS, MODEL, picture, save, true_labels
from tests.conftest import REPOSITORY
from tests.onnx_models import linear_classifier

pytest.importorskip("foolbox")
DICT = REPOSITORY / "fixtures" / "dict.h5"
MADE = {
    "atk/fgsm-eps=4": "attack",
    "atk/fgsm-eps=4/float.h5": "attack",
    "eval": "evaluate",
    "eval/evaluation.h5": "evaluate",
    "eval/results.csv": "evaluate",
    "eval/images.csv": "evaluate",
    "eval/clean": "select",
    "eval/trials/clean/none.h5": "judge",
    "masks": "localize",
    "pur": "purify",
    "pur/manifest.json": "purify",
    "pred.h5": "classify",
    "pred.csv": "classify",
    "pred.csv.json": "classify",
    "act.h5": "activations",
    "cams": "attention",
    "own.h5": "learn-dict",
    "sup.h5": "support",
    "cert": "certify",
    "cert/certificates.csv": "certify",
    "ref.h5": "detect",
    "found.csv": "detect",
    "new.onnx": "train",
    "tagged.onnx": "model tag",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """One artifact of each command, of four pictures of 16×16 pixels."""
    place = tmp_path_factory.mktemp("made")
    imgs, model = place / "imgs", ("-m", MODEL)
    for name, label in true_labels().items():
        save(imgs / f"{name}.png", picture(label, MARGINS[name]))
    linear_classifier(place / "plain.onnx", np.ones((2, 3 * 4 * 4)), (4, 4))
    fgsm = place / "atk/fgsm-eps=4"
    for words in (
        ("attack", imgs, *model, "-a", "fgsm:eps=4", "-a", "fgsm:eps=8", "--keep-float",
         "-o", place / "atk"),
        ("evaluate", imgs, *model, "-a", "fgsm:eps=4", "--defense", "jpeg", "--no-extra-checks",
         "-o", place / "eval"),
        ("localize", imgs, "-o", place / "masks"),
        ("purify", imgs, "--defense", "jpeg", "-o", place / "pur"),
        ("classify", imgs, *model, "-o", place / "pred.h5"),
        ("classify", imgs, *model, "-o", place / "pred.csv"),
        ("activations", imgs, fgsm, *model, "-o", place / "act.h5"),
        ("attention", imgs, fgsm, *model, "-o", place / "cams"),
        ("learn-dict", imgs, "-o", place / "own.h5", "--patch-size", 4, "--n-atoms", 8,
         "--patches-per-image", 20),
        ("support", imgs, fgsm, "-d", place / "own.h5", "--sparsity", 2, "-o", place / "sup.h5"),
        ("certify", imgs, *model, "--denoiser", "median", "--alpha", 0.4, "--n0", 4, "--n", 8,
         "-o", place / "cert"),
        ("detect", imgs, "--calibrate", "--false-alarms", 0.5, "-o", place / "ref.h5"),
        ("detect", imgs, "--reference", place / "ref.h5", "--false-alarms", 0.5,
         "-o", place / "found.csv"),
        ("train", imgs, *model, "--defense", "jpeg", "--epochs", 1, "-o", place / "new.onnx"),
        ("model", "tag", place / "plain.onnx", "--preset", "unit", "-o", place / "tagged.onnx"),
        ("report", place / "eval", "--format", "md", "-o", place / "report"),
    ):  # fmt: skip
        one = () if words[0] in ("learn-dict", "model", "report", "train") else ("-j", 1)
        result = CliRunner().invoke(app, list(map(str, (*words, *one))))
        assert result.exit_code == 0, (words, result.stderr)
    return place


def test_every_artifact_is_read(made, run_cli):
    formats = set()
    for name, stage in MADE.items():
        told = run_cli("show", made / name, "--json")
        assert told.exit_code == 0, told.stderr
        record = json.loads(told.stdout)
        assert record["stage"] == stage, name
        assert record["contents"], name
        formats.add(record["format"])
        tree = run_cli("show", made / name)
        assert tree.exit_code == 0, tree.stderr
        assert f"  {record['format']}" in tree.stdout.splitlines()[0]
    assert formats == {*FORMAT_VERSIONS, "onnx"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("report", "is a report, which has no record; show the evaluation that it is of"),
        ("imgs", "is not an rsparse artifact: it has no manifest.json"),
        ("atk", "is not an artifact itself, but contains some; name one: fgsm-eps=4, "
         "fgsm-eps=4/float.h5, fgsm-eps=8, fgsm-eps=8/float.h5"),
        ("pur/red/far.png", "its record is that of its folder: rsparse show {made}/pur"),
        ("imgs/red/far.png", "is a picture, which has no record"),
        ("plain.onnx", "was not made by rsparse: its metadata have no record; 'rsparse model show "
         "{made}/plain.onnx' prints the input that it expects"),
        ("mine.toml", "has no record; 'rsparse policy show {made}/mine.toml' prints it if it is a "
         "policy, 'rsparse evaluate {made}/mine.toml --dry-run' if it is a plan"),
        ("new.onnx.rsparse-checkpoint.safetensors", "is the checkpoint of a training, which has no "
         "record; run the same command again to continue it"),
        ("begun", "is unfinished because its run was interrupted; run the same command again"),
        ("selecting", "is unfinished because its run was interrupted; run the same command again"),
        ("judging", "is unfinished because its run was interrupted; run the same command again"),
        ("counting", "is unfinished because its run was interrupted; run the same command again"),
        ("nothing.h5", "no such file"),
        ("nothing", "no such file"),
    ],
)  # fmt: skip
def test_what_has_no_record_is_named(made, assert_error, name, hint):
    (made / "mine.toml").write_text('[[rule]]\ndefense = "jpeg"\n')
    (made / "new.onnx.rsparse-checkpoint.safetensors").write_bytes(b"")
    (made / "begun").mkdir(exist_ok=True)
    (made / "begun" / JOURNAL).touch()
    (made / "selecting/clean").mkdir(parents=True, exist_ok=True)
    (made / "selecting/clean" / JOURNAL).touch()
    shutil.copytree(made / "eval/clean", made / "judging/clean", dirs_exist_ok=True)
    (made / "counting").mkdir(exist_ok=True)
    journal_of(made / "counting" / CERTIFICATES_FILE).touch()
    assert_error(f"{made / name}: {hint.format(made=made)}", "show", made / name)


def test_rules_are_told_of_each_policy():
    """Alone, a policy's rules need no name."""
    policies = ("policy:default", "policy:paper")
    record = {"defenses": [parse_defense(spec)[0].as_record() for spec in policies]}
    keys = [key for key in _flat(record) if "rule" in key]
    assert keys == [
        *(f"defenses, policy:default, rule {n}" for n in range(1, len(keys))),
        "defenses, policy:paper, rule 1",
    ]
    alone = {"defense": record["defenses"][1]}
    assert list(_flat(alone)) == ["defense", "defense, rule 1"]


def test_a_fetched_model_tells_its_origin(made, run_cli):
    """``fetch`` writes where the weights come from; a damaged origin is refused."""
    file = load_onnx(made / "tagged.onnx")
    origin = {"stage": "fetch", "generator": "rsparse 0.1.0", "model": "resnet", "seed": 3}
    path = made / "fetched.onnx"
    path.write_bytes(file.with_metadata({ORIGIN_KEY: json.dumps(origin)}))
    lines = run_cli("show", path).stdout.splitlines()
    assert lines[0] == "fetched.onnx  onnx, by fetch of rsparse 0.1.0"
    assert "├── model = resnet" in lines
    path.write_bytes(file.with_metadata({ORIGIN_KEY: "[1]"}))
    result = run_cli("show", path)
    assert result.exit_code == 2
    assert result.stderr == (
        f"rsparse: error: {path}: metadata {ORIGIN_KEY}: expected a JSON object\n"
    )
