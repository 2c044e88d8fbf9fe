"""Networks without class scores, or that cannot be attacked, cause an error or a warning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.colours import picture, save
from tests.onnx_models import save_graph

INPUT = ("--preset", "unit")


def network(path: Path, *ending: object) -> Path:
    """Save three weighted sums of pixels ``z``, and nodes that compute ``scores`` from it."""
    weights = np.random.default_rng(0).standard_normal((48, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["z"]),
        *ending,
    ]
    constants = {
        "w": weights, "k": np.array([3]), "depth": np.array([3]),
        "onoff": np.array([0, 1], np.float32), "hundred": np.float32([100]),
    }  # fmt: skip
    return save_graph(path, nodes, constants, ("n", 3, 4, 4), ("n", 3))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number in range(3):
        save(tmp_path / f"imgs/{number}.png", picture(number, 30, (4, 4)))
    return tmp_path / "imgs"


def one_hot(path: Path) -> Path:
    return network(
        path,
        helper.make_node("ArgMax", ["z"], ["best"], axis=1, keepdims=0),
        helper.make_node("OneHot", ["best", "depth", "onoff"], ["scores"]),
    )


def test_sorted_scores_are_refused(run_cli, images, tmp_path):
    path = network(
        tmp_path / "m.onnx",
        helper.make_node("Softmax", ["z"], ["p"]),
        helper.make_node("TopK", ["p", "k"], ["scores", "places"]),
    )
    result = run_cli("classify", images, "-m", path, *INPUT)
    assert (result.exit_code, result.stderr) == (
        2,
        f"rsparse: error: {path}: its scores are sorted by TopK, so that their classes are lost; "
        "export it without TopK\n",
    )


@pytest.mark.parametrize(
    ("ending", "note"),
    [
        (
            (
                helper.make_node("Softmax", ["z"], ["p"]),
                helper.make_node("Mul", ["p", "hundred"], ["scores"]),
            ),
            "what changes its softmax afterwards is left out as well: Mul",
        ),
        (
            (
                helper.make_node("Sub", ["z", "z"], ["none"]),
                helper.make_node("Identity", ["none"], ["scores"]),
            ),
            "gives the same scores for two quite different images",
        ),
    ],
    ids=["per cent", "constant"],
)
def test_doubtful_outputs_are_told(run_cli, images, tmp_path, ending, note):
    path = network(tmp_path / "m.onnx", *ending)
    result = run_cli("classify", images, "-m", path, *INPUT)
    assert result.exit_code == 0
    assert f"m.onnx: {note}" in result.stderr


def test_a_network_without_gradients_is_attacked_without_them(run_cli, images, tmp_path):
    pytest.importorskip("torch")
    path = one_hot(tmp_path / "m.onnx")
    attack = ("attack", images, "-m", path, *INPUT, "--predicted-labels", "-o", tmp_path / "adv")
    result = run_cli(*attack, "-a", "bim:eps=8")
    assert result.exit_code == 2
    assert "its scores do not depend on the image in a differentiable way" in result.stderr
    assert not (tmp_path / "adv").exists()
    assert run_cli(*attack, "-a", "square:eps=8").exit_code == 0


@pytest.mark.parametrize(("ending", "is_told"), [("Round", True), ("Identity", False)])
def test_an_attack_that_changes_no_image_is_told(run_cli, images, tmp_path, ending, is_told):
    pytest.importorskip("torch")
    path = network(
        tmp_path / "m.onnx",
        helper.make_node(ending, ["z"], ["r"]),
        helper.make_node("Identity", ["r"], ["scores"]),
    )
    result = run_cli(
        "attack", images, "-m", path, *INPUT, "--predicted-labels", "-a", "fgsm:eps=8",
        "-o", tmp_path / "adv",
    )  # fmt: skip
    assert result.exit_code == 0
    line = "fgsm-eps=8 changed no image: the gradient is zero, as behind rounding"
    assert (line in result.stderr) == is_told


def test_a_network_without_gradients_is_not_trained(run_cli, images, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "labels.csv").write_text("file,label\n0.png,0\n1.png,1\n2.png,2\n")
    path = one_hot(tmp_path / "m.onnx")
    result = run_cli(
        "train", images, "-m", path, *INPUT, "--epochs", 1, "--train-on", "clean",
        "-o", tmp_path / "t.onnx",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "t.onnx").exists()


def test_a_policy_with_a_gigantic_number_is_refused(run_cli, images, tmp_path):
    policy = tmp_path / "p.toml"
    policy.write_text(f"x = {'9' * 5000}\n")
    result = run_cli("purify", images, "--policy", policy, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"rsparse: error: {policy}: is not valid TOML: ")
    assert result.stderr.count("\n") == 1
