"""``rsparse evaluate --device``: torch classifies batches as the CPU classifies single images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")


from rsparse.defended.judging import JudgeStep, JudgingSetup
from rsparse.defenses import Resources, parse_defense
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.store.folders import read_manifest
from rsparse.store.images import ImageFile, encode_png
from rsparse.store.predictions import load_predictions
from rsparse.work.device import CPU, Device
from rsparse.work.steps import entries_of
from rsparse.work.workers import LocalWorkers
from tests import short_of_memory
from tests.colour_evaluations import DICT, arguments, make_images, untimed
from tests.colours import MODEL
from tests.conftest import make_picture, tree_of
from tests.onnx_models import linear_classifier

TORCH = ("--device", "torch-cpu")
CORES = ("--device", "cpu")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> Path:
    """An evaluation with trials classified by torch, in ``eval`` next to its ``imgs``."""
    from typer.testing import CliRunner

    from rsparse.cli import app

    root = tmp_path_factory.mktemp("evaluated")
    images = make_images(root / "imgs")
    result = CliRunner().invoke(app, [str(a) for a in (*arguments(images, root / "eval"), *TORCH)])
    assert result.exit_code == 0, result.stderr
    return root


def trials_of(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in (folder / "trials").rglob("*.h5"))


def test_the_predictions_equal_those_on_the_cpu(evaluated, tmp_path, run_cli):
    assert run_cli(*arguments(evaluated / "imgs", tmp_path / "eval"), *CORES).exit_code == 0
    trials = trials_of(evaluated / "eval")
    assert trials == trials_of(tmp_path / "eval")
    assert len(trials) == 23
    for trial in trials:
        ours, record = load_predictions(evaluated / "eval" / trial)
        expected, without = load_predictions(tmp_path / "eval" / trial)
        said, wanted = ([(r.name, r.label, r.classes) for r in rows] for rows in (ours, expected))
        if trial.parent.name != "bim-eps=128":  # its colours have equally likely classes
            assert said == wanted
        exact = "regionsparse" not in trial.name  # its pixels may differ by 1
        np.testing.assert_allclose(
            [r.probabilities for r in ours], [r.probabilities for r in expected],
            atol=1e-5 if exact else 0.02,
        )  # fmt: skip
        assert record["parameters"].pop("device") == "torch-cpu"
        assert record["parameters"] == without["parameters"]


def test_a_trial_equals_purify_and_classify_on_that_device(evaluated, tmp_path, run_cli):
    attacked = evaluated / "eval/attacks/colours/bim-eps=8"
    clean, said = tmp_path / "clean", tmp_path / "pred.h5"
    purified = ("purify", attacked, "--dict", DICT, "--sparsity", 1, *TORCH, "-o", clean)
    assert run_cli(*purified).exit_code == 0
    assert run_cli("classify", clean, "-m", MODEL, *TORCH, "-o", said).exit_code == 0
    trial = evaluated / "eval/trials/colours/bim-eps=8/regionsparse-sparsity=1.h5"
    (rows, _), (expected, _) = load_predictions(trial), load_predictions(said)
    assert [(r.name, r.classes[0]) for r in rows] == [(r.name, r.classes[0]) for r in expected]
    np.testing.assert_allclose(
        [r.probabilities[0] for r in rows], [r.probabilities[0] for r in expected], rtol=1e-6
    )


def test_each_part_of_a_chain_runs_where_it_can(evaluated, tmp_path, run_cli):
    """The predictions equal those of ``purify`` and ``classify`` on that device."""
    spec, images = "none+regionsparse:sparsity=1+jpeg", evaluated / "eval/clean"
    judged = ("evaluate", images, "-m", MODEL, "--defense", spec, "-d", DICT, "-a", "fgsm:eps=4")
    options = (*TORCH, "--no-extra-checks", "-o", tmp_path / "eval")
    assert run_cli(*judged, *options).exit_code == 0
    clean, said = tmp_path / "clean", tmp_path / "pred.h5"
    purified = ("purify", images, "--defense", spec, "--dict", DICT, *TORCH, "-o", clean)
    assert run_cli(*purified).exit_code == 0
    assert read_manifest(clean)["parameters"]["device"] == "torch-cpu"
    assert run_cli("classify", clean, "-m", MODEL, *TORCH, "-o", said).exit_code == 0
    (trial,) = (tmp_path / "eval").rglob("clean/*regionsparse*.h5")
    (rows, _), (expected, _) = load_predictions(trial), load_predictions(said)
    assert [(r.name, r.classes[0]) for r in rows] == [(r.name, r.classes[0]) for r in expected]
    np.testing.assert_allclose(
        [r.probabilities[0] for r in rows], [r.probabilities[0] for r in expected], rtol=1e-6
    )


def test_processes_change_no_byte(evaluated, tmp_path, run_cli):
    more = arguments(evaluated / "imgs", tmp_path / "eval", *TORCH, "-j", 2)
    assert run_cli(*more).exit_code == 0
    assert untimed(tmp_path / "eval") == untimed(evaluated / "eval")


def test_on_another_device_the_trials_are_judged_again(evaluated, tmp_path, run_cli):
    def run(*device):
        command = arguments(evaluated / "imgs", tmp_path / "eval", *device, "--json")
        return json.loads(run_cli(*command).stdout)

    first, again = run(*TORCH), run(*TORCH)
    attacks = tree_of(tmp_path / "eval" / "attacks")
    other = run(*CORES)
    assert [(f["done"], f["resumed"]) for f in (first, again, other)] == [(23, 0), (0, 23), (23, 0)]
    assert tree_of(tmp_path / "eval" / "attacks") == attacks


def test_a_cluster_judges_on_its_cores(evaluated, tmp_path, run_cli):
    pytest.importorskip("distributed")
    few = ("--max-images", 3, "--no-extra-checks")
    command = arguments(evaluated / "imgs", tmp_path / "eval", *few)
    command = [word for word in command if word not in ("-j", 1)]
    assert run_cli(*command, *TORCH, "--cluster", "local:1").exit_code == 0
    _, record = load_predictions(tmp_path / "eval/trials/clean/none.h5")
    assert "device" not in record["parameters"]


def test_an_image_that_cannot_be_judged_does_not_stop_the_others(
    tmp_path, small_dictionary, monkeypatch
):
    """Several models share the cleaned images; one image is too large for the device."""
    short_of_memory.for_images_of_width(60, monkeypatch)
    images = []
    for name, height, width in (("a", 48, 56), ("b", 3, 9), ("c", 48, 60), ("d", 40, 40)):
        path = tmp_path / f"{name}.png"
        path.write_bytes(encode_png(make_picture(0, height, width)))
        images.append(ImageFile(name, path, tmp_path))
    weights = np.repeat(np.eye(3), 12 * 12, axis=1) / 144
    other = linear_classifier(tmp_path / "other.onnx", weights * 30, (12, 12))
    judges = [load_classifier(MODEL), load_classifier(other, InputOptions(preset="unit"))]
    (defense,) = parse_defense("regionsparse:sparsity=2")
    resources = Resources({"": small_dictionary})
    entries, expected = (
        entries_by(
            JudgeStep(JudgingSetup(resources, {}, device).classifier(defense, judges)), images
        )
        for device in (Device("torch-cpu"), CPU)
    )
    assert [entry["name"] for entry in entries] == ["a", "b", "c", "d"]
    assert [entry.get("error", "").partition(": ")[2] for entry in entries[1:3]] == [
        "is 9×3 pixels, smaller than a patch of 4×4",
        "is 60×48 pixels, too large for the memory of device 'cpu'; use a larger --stride, "
        "or --device cpu",
    ]
    for ours, theirs in zip(entries[::3], expected[::3], strict=True):
        assert ours["classes"] == theirs["classes"]
        np.testing.assert_allclose(ours["probabilities"], theirs["probabilities"], atol=0.02)
        assert ours["seconds"] > 0


def entries_by(step: JudgeStep, images: list[ImageFile]) -> list[dict]:
    made = entries_of(step, images, LocalWorkers(1), gather=list, shared_paths=[], batch_size=9)
    return [entry for batch in made for entry in batch]
