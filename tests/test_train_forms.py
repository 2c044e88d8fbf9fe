"""Retraining networks in other graph forms: the output file keeps the form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto
from typer.testing import Result

from rsparse.models.onnx.classifier import load_classifier
from rsparse.store.images import encode_png
from tests.score_graphs import FLAT, SIGMOID_TAILS, head, in_half_precision, tailed

pytest.importorskip("torch")
pytest.importorskip("safetensors")


@pytest.fixture
def two_colours(tmp_path: Path) -> Path:
    """Dark and bright pictures, in one folder per class."""
    rng = np.random.default_rng(0)
    for label, level in enumerate((60, 180)):
        (tmp_path / "two" / str(label)).mkdir(parents=True)
        for n in range(6):
            pixels = rng.integers(level - 40, level + 40, (8, 8, 3), dtype=np.uint8)
            (tmp_path / "two" / str(label) / f"{n}.png").write_bytes(encode_png(pixels))
    return tmp_path / "two"


def train(run_cli: Callable[..., Result], images: Path, model: Path, output: Path) -> Result:
    return run_cli(
        "train", images, "-m", model, "--preset", "unit", "--train-on", "clean", "-o", output,
        "--clean-share", "1", "--epochs", "3", "--learning-rate", "0.01", "--jobs", "1",
    )  # fmt: skip


def test_one_sigmoid(run_cli: Callable[..., Result], tmp_path: Path, two_colours: Path) -> None:
    path = tailed(tmp_path / "m.onnx", SIGMOID_TAILS["plain"], classes=1, output=("n", 1))
    result = train(run_cli, two_colours, path, tmp_path / "out.onnx")
    assert result.exit_code == 0, result.stderr
    graph = onnx.load(tmp_path / "out.onnx").graph
    assert [node.op_type for node in graph.node] == [n.op_type for n in onnx.load(path).graph.node]
    pictures = [cv2.imread(str(two_colours / label / "0.png"))[..., ::-1] for label in "01"]
    before, after = (load_classifier(p).logits(pictures) for p in tagged(run_cli, path, tmp_path))
    gap_before, gap_after = (x[1, 1] - x[0, 1] for x in (before, after))
    assert gap_after > gap_before


def tagged(run_cli: Callable[..., Result], path: Path, tmp_path: Path) -> tuple[Path, Path]:
    run_cli("model", "tag", path, "--preset", "unit", "-o", tmp_path / "tagged.onnx")
    return tmp_path / "tagged.onnx", tmp_path / "out.onnx"


def test_half_precision_becomes_float32(
    run_cli: Callable[..., Result], tmp_path: Path, two_colours: Path
) -> None:
    path = in_half_precision(
        head(tmp_path / "m.onnx", FLAT, classes=2, output=("n", 2)), TensorProto.BFLOAT16
    )
    result = train(run_cli, two_colours, path, tmp_path / "out.onnx")
    assert result.exit_code == 0, result.stderr
    graph = onnx.load(tmp_path / "out.onnx").graph
    assert {tensor.data_type for tensor in graph.initializer} == {TensorProto.FLOAT}


def test_several_sigmoids_are_refused(
    run_cli: Callable[..., Result], tmp_path: Path, two_colours: Path
) -> None:
    path = tailed(tmp_path / "m.onnx", SIGMOID_TAILS["plain"])
    result = train(run_cli, two_colours, path, tmp_path / "out.onnx")
    assert result.exit_code == 2
    assert result.stderr == (
        f"rsparse: error: {path}: cannot be retrained: each of its outputs is a sigmoid of its "
        "own, and training needs one class for each image\n"
    )
