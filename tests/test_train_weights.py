"""Which weights ``rsparse train`` changes, and which epoch's weights it writes."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from rsparse.models.onnx.classifier import load_classifier
from tests.colour_training import colours, labelled, weights_of
from tests.colours import MODEL
from tests.onnx_models import ConvNet

pytest.importorskip("torch")

__all__ = ["colours", "labelled"]  # the fixtures


def test_the_best_weights_are_kept(run_cli, labelled, tmp_path):
    """With a far too high learning rate, training stops early and keeps the old weights."""
    arguments = (*labelled, "--train-on", "clean", "--learning-rate", 9, "--epochs", 9,
                 "--patience", 2, "--original-share", 0.3)  # fmt: skip
    result = run_cli(*arguments, "-o", tmp_path / "new.onnx", "--json")
    assert result.exit_code == 0, result.stderr
    outcome = json.loads(result.stdout)
    assert (outcome["best_epoch"], len(outcome["epochs"])) == (0, 3)
    assert "the original weights: no epoch was better" in result.stderr
    old, new = weights_of(MODEL), weights_of(tmp_path / "new.onnx")
    assert all(old[name].tobytes() == new[name].tobytes() for name in old)


def test_the_best_weights_are_averaged_with_the_original(run_cli, labelled, tmp_path):
    """The share is exact, and the epochs are the same as in a training without averaging."""
    outcomes = []
    for share in (0, 0.25):
        words = ("--train-on", "clean", "--original-share", share, "-o", tmp_path / f"{share}.onnx")
        result = run_cli(*labelled, *words, "--json")
        assert result.exit_code == 0, result.stderr
        outcomes.append(json.loads(result.stdout))
    assert "averaged with 25 % of the original" in result.stderr
    alone, averaged = outcomes
    assert alone["epochs"] == averaged["epochs"]
    assert alone["written"] == alone["epochs"][alone["best_epoch"]]["validation"]
    assert alone["epochs"][0]["validation"]["loss"] > averaged["written"]["loss"]
    assert averaged["written"]["loss"] > alone["written"]["loss"]
    old, best, found = map(weights_of, (MODEL, tmp_path / "0.onnx", tmp_path / "0.25.onnx"))
    for name in old:
        np.testing.assert_array_equal(found[name], 0.75 * best[name] + 0.25 * old[name])


def test_chosen_layers_only(run_cli, labelled, tmp_path):
    run_cli(*labelled, "--train-on", "clean", "--train-layers", "head", "-o", tmp_path / "new.onnx")
    old, new = weights_of(MODEL), weights_of(tmp_path / "new.onnx")
    assert np.array_equal(old["conv.weight"], new["conv.weight"])
    assert not np.array_equal(old["weight"], new["weight"])


def test_batch_norms_and_softmax(run_cli, colours, tmp_path):
    """A final softmax is kept; trained batch normalisations agree with onnxruntime."""
    model = ConvNet(activation="batch-norm", tail="Softmax", classes=3).save(tmp_path / "m.onnx")
    result = run_cli(
        "train", colours, "-m", model, "--preset", "unit", "--labels",
        tmp_path / "labels.csv", "--train-on", "clean", "--train-batch-norm", "--epochs", 2,
        "-o", tmp_path / "new.onnx",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert onnx.load(tmp_path / "new.onnx").graph.node[-1].op_type == "Softmax"
    old, new = weights_of(model), weights_of(tmp_path / "new.onnx")
    assert all(not np.array_equal(old[name], new[name]) for name in ("mean", "variance", "scale"))
    load_classifier(tmp_path / "new.onnx").check()  # it is tagged now
