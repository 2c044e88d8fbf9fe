"""Weights that nodes compute from constants instead of stored initializers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from typer.testing import Result

from rsparse.models.onnx.cam_head import find_cam_head
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.graph import activation_layers
from rsparse.models.onnx.probes import AttentionProbe
from rsparse.models.onnx.wiring import Wiring
from rsparse.models.spec import InputOptions
from tests.onnx_models import ConvNet, images_of, save_graph, without_stored_weights

UNIT = InputOptions(preset="unit")


NODES = ["Constant", "Identity", "Transpose", "ConstantOfShape"]


@pytest.mark.parametrize("node", NODES)
def test_constants_that_nodes_make(tmp_path: Path, node: str) -> None:
    net = ConvNet()
    plain = load_classifier(net.save(tmp_path / "plain.onnx"), UNIT)
    model = without_stored_weights(tmp_path / "m.onnx", node)
    layers = activation_layers(model)
    assert layers == activation_layers(plain.graph)
    head = find_cam_head(model)
    np.testing.assert_allclose(head.weights, net.weights, rtol=1e-6)
    images = images_of((12, 10), 2)
    probe = AttentionProbe(load_classifier(tmp_path / "m.onnx", UNIT))
    np.testing.assert_allclose(probe.features(images)[0], plain.logits(images), rtol=1e-4)


@pytest.mark.parametrize("node", NODES)
def test_they_are_attacked(run_cli: Callable[..., Result], tmp_path: Path, node: str) -> None:
    torch = pytest.importorskip("torch")
    from rsparse.models.torch.twin import load_twin

    without_stored_weights(tmp_path / "m.onnx", node)
    classifier = load_classifier(tmp_path / "m.onnx", UNIT)
    x = np.random.default_rng(0).random((2, 12, 10, 3), dtype=np.float32)
    found = load_twin(classifier)(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    np.testing.assert_allclose(found.numpy(), classifier.logits(list(x)), rtol=1e-3, atol=1e-4)


def test_equal_weights_from_one_number(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    """As in the onnx package's ``light_`` networks, one number stands for a whole tensor."""
    shapes = {"w": [6, 3, 3, 3], "v": [4, 6], "b": [4]}
    nodes = [
        helper.make_node(
            "ConstantOfShape", [f"{name}.shape"], [name],
            value=numpy_helper.from_array(np.array([0.1], np.float32)),
        )
        for name in shapes
    ]  # fmt: skip
    nodes += [
        helper.make_node("Conv", ["image", "w"], ["c"], name="conv"),
        helper.make_node("GlobalAveragePool", ["c"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "v", "b"], ["scores"], transB=1),
    ]
    constants = {f"{name}.shape": np.array(shape) for name, shape in shapes.items()}
    path = save_graph(tmp_path / "m.onnx", nodes, constants, ("n", 3, 8, 8), ("n", 4))
    shown = json.loads(run_cli("model", "show", path, "--preset", "unit", "--json").stdout)
    assert shown["graph"]["layers"] == "1 conv, 1 pool"
    assert shown["graph"]["attention"] == "6 feature maps"
    probe = AttentionProbe(load_classifier(path, UNIT))
    np.testing.assert_allclose(probe.weights, np.full((4, 6), 0.1), rtol=1e-6)
    probe.features(images_of((8, 8), 2))


def test_what_is_no_constant(tmp_path: Path) -> None:
    """Tensors that depend on the image or on random numbers, or are too large."""
    large = np.array([2**16, 2**16])
    nodes = [
        helper.make_node("RandomNormal", [], ["random"], shape=[3]),
        helper.make_node("ConstantOfShape", ["large"], ["huge"]),
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Add", ["mean", "random"], ["scores"]),
    ]
    path = save_graph(tmp_path / "m.onnx", nodes, {"large": large}, ("n", 3, 4, 4), ("n", 3))
    model = onnx.load(path)
    wiring = Wiring(model.graph, model)
    assert [wiring.constant(name) for name in ("random", "image", "mean", "huge", "")] == [None] * 5
    assert wiring.is_constant("huge")
    assert wiring.computed_inputs(model.graph.node[-1]) == ["mean", "random"]
