"""What ``rsparse train`` rejects, with a one-line error and no output left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from rsparse.models.onnx.file import load_onnx
from rsparse.models.onnx.provenance import RECORD_KEY
from tests.colour_training import colours, labelled
from tests.colours import MODEL
from tests.onnx_models import linear_classifier

pytest.importorskip("torch")

from rsparse.models.torch.weights import with_weights

__all__ = ["colours", "labelled"]  # the fixtures


@pytest.fixture
def refuses(assert_error, colours, tmp_path):
    """Check the one-line error of a rejected training, and that no output is left."""

    def check(line: str, *options: object, model: Path = MODEL, labelled: bool = True) -> None:
        labels = ("--labels", tmp_path / "labels.csv") if labelled else ()
        if not labelled:
            (tmp_path / "labels.csv").unlink(missing_ok=True)
        names = {path.name for path in tmp_path.iterdir()}
        arguments = ("train", colours, "-m", model, *labels, *options)
        assert_error(line, *arguments, "-o", tmp_path / "new.onnx")
        assert {path.name for path in tmp_path.iterdir()} == names

    return check


def test_options_that_contradict_each_other(refuses):
    refuses(
        "--train-on purified needs purified images; make them with --defense SPEC, or "
        "pass a folder written by purify with --purified-images FOLDER"
    )
    refuses("--defense: --train-on clean uses no purified images", "--train-on", "clean",
            "--defense", "jpeg")  # fmt: skip
    refuses(
        "--purified-cache: stores images that --defense makes; add --defense SPEC",
        "--purified-cache",
        "cache",
    )
    refuses(
        "--labels and --distill cannot be used together; give one of them",
        "--distill", "--defense", "jpeg",
    )  # fmt: skip
    refuses(
        "--distill and --train-on clean cannot be used together: on clean images the model already "
        "gives its own outputs",
        "--distill", "--train-on", "clean", labelled=False,
    )  # fmt: skip
    refuses(
        "--clean-share: expected less than 1 with --train-on adversarial, got 1",
        "--train-on", "adversarial", "--clean-share", 1,
    )  # fmt: skip


def test_adversarial_images_that_are_not_shown(refuses):
    refuses(
        "--adversarial-defense cannot be used with --train-on purified, which shows no adversarial "
        "images",
        "--defense", "jpeg", "--adversarial-defense", "jpeg",
    )  # fmt: skip
    refuses(
        "--through cannot be used with --train-on clean, which shows no adversarial images",
        "--train-on", "clean", "--through", "jpeg",
    )  # fmt: skip
    refuses(
        "--adversarial-share: only works with --train-on both, which uses purified and adversarial "
        "images, got --train-on adversarial",
        "--train-on", "adversarial", "--adversarial-share", 0.5,
    )  # fmt: skip


def test_defenses_of_adversarial_images(refuses, dict_file, tmp_path):
    refuses(
        "regionsparse needs a dictionary named 'dct': --dict dct=dict.h5",
        "--train-on", "adversarial", "--adversarial-defense", "regionsparse:dictionary=dct",
    )  # fmt: skip
    small = linear_classifier(tmp_path / "small.onnx", np.ones((3, 12)), (2, 2))
    refuses(
        "--adversarial-defense regionsparse-sparsity=2: at the model's input size an image is "
        "2×2 pixels, smaller than a patch of 4×4",
        "--train-on", "adversarial", "--adversarial-defense", "regionsparse", "--dict", dict_file,
        "--preset", "unit", model=small,
    )  # fmt: skip
    refuses(
        "--through regionsparse-sparsity=2: at the model's input size an image is 2×2 pixels, "
        "smaller than a patch of 4×4",
        "--train-on", "adversarial", "--through", "regionsparse", "--dict", dict_file,
        "--preset", "unit", model=small,
    )  # fmt: skip


def test_images_without_labels(refuses):
    refuses(
        "the images have no labels (the images are in no subfolders, and there is no labels.csv in "
        "their folder or beside it); give them with --labels labels.csv, or train on the "
        "model's own outputs with --distill",
        "--train-on", "clean", labelled=False,
    )  # fmt: skip


def test_layers_and_devices(refuses):
    refuses(
        "train-layers: expected all, head or layer names, got 'conv_7'; the last layers of "
        f"{MODEL} are conv, scores",
        "--defense", "jpeg", "--train-layers", "conv_7",
    )  # fmt: skip
    refuses("train-layers: expected all, head or layer names, got ''; the last layers of "
            f"{MODEL} are conv, scores", "--train-on", "clean", "--train-layers", "")  # fmt: skip


def test_a_rate_that_leads_nowhere(refuses):
    refuses(
        "the validation loss is not finite after epoch 1; try a lower --learning-rate",
        "--train-on", "clean", "--learning-rate", 100, "--optimizer", "sgd", "--momentum", 0.99,
        "--warmup-share", 0, "--epochs", 99, "--batch-size", 1, "--weight-decay", 1,
    )  # fmt: skip


def test_the_output(assert_error, labelled, colours, tmp_path):
    out = tmp_path / "new.onnx"
    out.write_bytes(b"")
    assert_error(f"{out}: exists; choose another output or pass --overwrite", *labelled, "-o", out)
    inside = colours / "new.onnx"
    assert_error(
        f"{inside}: is inside the input {colours}; choose another output",
        *labelled, "--defense", "median", "-o", inside,
    )  # fmt: skip
    clean, text = (*labelled, "--train-on", "clean", "-o"), tmp_path / "x.txt"
    text.touch()  # its suffix is named first, since another name is needed anyway
    assert_error(f"{text}: expected a file ending in .onnx", *clean, text)
    assert_error(
        f"{text}: expected a file ending in .png", *clean, tmp_path / "2.onnx", "--plot", text
    )
    copy = tmp_path / "copy.onnx"
    shutil.copy(MODEL, copy)
    assert_error(
        f"{copy}: is the input itself; choose another output", "train", colours, "-m", copy,
        "--train-on", "adversarial", "--distill", "-o", copy, "--overwrite",
    )  # fmt: skip


def test_two_versions_of_one_name(refuses, colours):
    refuses(
        f"{colours}: another version is named 'imgs'; rename the folder", "--purified-images",
        colours, "--purified-images", colours,
    )  # fmt: skip


def test_one_image(assert_error, colours, tmp_path):
    assert_error(
        "training needs at least 2 images, one of them for validation", "train",
        colours / "01.png", "-m", MODEL, "--distill", "--train-on", "adversarial", "-o",
        tmp_path / "new.onnx",
    )  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"imgs", "labels.csv"}


def test_damaged_record_of_a_model(assert_error, colours, tmp_path):
    model = load_onnx(MODEL)
    broken = tmp_path / "m.onnx"
    broken.write_bytes(model.with_metadata({RECORD_KEY: "{"}))
    line = (
        f"{broken}: metadata {RECORD_KEY}: is not valid JSON: Expecting property name enclosed in"
    )
    line += " double quotes: line 1 column 2 (char 1)"
    assert_error(line, "classify", colours, "-m", broken)
    broken.write_bytes(model.with_metadata({RECORD_KEY: "{}"}))
    assert_error(f"{broken}: is not an rsparse artifact", "classify", colours, "-m", broken)


def test_a_graph_that_comes_out_different(run_cli, monkeypatch, labelled, tmp_path):
    """If weights are written back wrongly, onnxruntime's outputs show it and nothing is written."""
    from rsparse.training import retrained

    monkeypatch.setattr(
        retrained, "with_weights",
        lambda file, weights: with_weights(file, {n: 2 * w for n, w in weights.items()}),
    )  # fmt: skip
    result = run_cli(*labelled, "--train-on", "clean", "-o", tmp_path / "new.onnx")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        f"rsparse: error: the retrained model was not written: {MODEL}: its torch twin's "
        "logits differ from onnxruntime's by "
    )
    assert not (tmp_path / "new.onnx").exists()
