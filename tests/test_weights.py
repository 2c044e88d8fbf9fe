"""Weights move from the graph to the twin and back byte for byte, and to the right places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.onnx.file import OnnxFile, load_onnx
from rsparse.models.spec import InputOptions
from tests.onnx_models import ConvNet, linear_classifier, save_graph
from tests.refusals import refused

torch = pytest.importorskip("torch")

from rsparse.models.torch.twin import load_twin  # noqa: E402
from rsparse.models.torch.weights import (  # noqa: E402
    Trainable,
    choose_layers,
    find_layers,
    with_weights,
)

UNIT = InputOptions(preset="unit")


def opened(path: Path, wanted: str = "all", batch_norm: bool = False) -> tuple[Classifier, Any]:
    classifier = load_classifier(path, UNIT)
    twin = load_twin(classifier, trainable=True)
    layers = find_layers(classifier, twin)
    return classifier, Trainable(twin, choose_layers(layers, wanted, batch_norm, "m.onnx"))


def logits_of(path: Path, file: OnnxFile, images: np.ndarray) -> np.ndarray:
    path.write_bytes(file.with_metadata({}))
    return load_classifier(path, UNIT).logits(list(images))


CONVOLUTIONS = ["conv.w", "conv.b", "left.w", "right.w", "w", "b"]


@pytest.mark.parametrize(
    ("kwargs", "names"),
    [
        ({}, CONVOLUTIONS),
        ({"head": "Gemm-plain"}, CONVOLUTIONS),
        ({"head": "MatMul"}, CONVOLUTIONS),
        ({"opset": 7}, CONVOLUTIONS),
        ({"opset": 18}, CONVOLUTIONS),
        ({"opset": onnx.defs.onnx_opset_version()}, CONVOLUTIONS),
        ({"head": "Conv", "background": True}, CONVOLUTIONS),
        ({"layout": "NHWC", "tail": "Softmax"}, CONVOLUTIONS),
        ({"activation": "hard-swish"}, CONVOLUTIONS),
        (
            {"activation": "batch-norm"},
            [*CONVOLUTIONS[:2], "scale", "shift", "mean", "variance", *CONVOLUTIONS[2:]],
        ),
    ],
    ids=repr,
)
def test_there_and_back(tmp_path: Path, kwargs: dict, names: list[str]) -> None:
    """All weights are found; unchanged ones give the same file, changed ones are written."""
    path = ConvNet(**kwargs).save(tmp_path / "m.onnx")
    _, trainable = opened(path, batch_norm=True)
    weights = trainable.weights()
    assert list(weights) == names
    file = load_onnx(path)
    unchanged = with_weights(file, weights).model
    assert unchanged.SerializeToString() == file.model.SerializeToString()
    rng = np.random.default_rng(0)
    changed = {
        name: tensor + torch.from_numpy(rng.uniform(0, 0.1, tensor.shape)).float()
        for name, tensor in trainable.tensors().items()
    }
    trainable.load(changed)
    trainable.use_batch_statistics(False)
    images = rng.random((3, 12, 10, 3), dtype=np.float32)
    with torch.no_grad():
        expected = trainable.twin(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    found = logits_of(tmp_path / "n.onnx", with_weights(file, trainable.weights()), images)
    before = logits_of(tmp_path / "o.onnx", file, images)
    if kwargs.get("tail"):
        expected, found, before = (x - x.mean(1, keepdims=True) for x in (expected, found, before))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(found - before).max() > 0.01


def test_scaled_gemm(tmp_path: Path) -> None:
    """The logits use alpha·w and beta·b; the trained parameters are w and b."""
    weights = np.random.default_rng(0).normal(size=(3, 12)).astype(np.float32)
    constants = {"w": weights.T.copy(), "b": np.arange(3, dtype=np.float32)}
    nodes = [
        helper.make_node("Flatten", ["image"], ["pixels"]),
        helper.make_node("Gemm", ["pixels", "w", "b"], ["scores"], alpha=0.5, beta=3.0),
    ]
    path = save_graph(tmp_path / "m.onnx", nodes, constants, ("n", 3, 2, 2), ("n", 3))
    _, trainable = opened(path)
    found = trainable.weights()
    np.testing.assert_array_equal(found["w"], weights.T)
    np.testing.assert_array_equal(found["b"], [0, 1, 2])


@pytest.mark.parametrize("kind", ["Conv", "MatMul"])
def test_weights_used_twice_stay_one(tmp_path: Path, kind: str) -> None:
    """A weight shared by two nodes is one parameter, and its gradient is the sum of both."""
    w = np.random.default_rng(0).normal(size=(3, 3, 1, 1) if kind == "Conv" else (3, 3))
    nodes = [helper.make_node("GlobalAveragePool", ["image"], ["mean"])]
    if kind == "MatMul":
        nodes.append(helper.make_node("Flatten", ["mean"], ["first"]))
    else:
        nodes[0].output[0] = "first"
    nodes.append(helper.make_node(kind, ["first", "w"], ["second"], name="one"))
    nodes.append(helper.make_node(kind, ["second", "w"], ["third"], name="two"))
    nodes.append(helper.make_node("Flatten", ["third"], ["scores"]))
    path = save_graph(
        tmp_path / "m.onnx", nodes, {"w": w.astype(np.float32)}, ("n", 3, 4, 4), ("n", 3)
    )
    _, trainable = opened(path, "two")
    assert list(trainable.parameters) == ["w"]
    x = torch.full((1, 3, 4, 4), 0.5)
    (gradient,) = torch.autograd.grad(trainable.twin(x)[0, 0], [trainable.parameters["w"]])
    m = w.reshape(3, 3) if kind == "Conv" else w.reshape(3, 3).T
    v = np.full(3, 0.5)
    expected = np.zeros((3, 3))
    expected[0] += m @ v
    expected += np.outer(m[0], v)
    gradient = gradient.numpy().reshape(3, 3)
    np.testing.assert_allclose(gradient if kind == "Conv" else gradient.T, expected, rtol=1e-4)


def test_weights_used_in_two_ways(tmp_path: Path) -> None:
    """Used plain, transposed and via Identity, a weight is one parameter; gradients add up."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["first"]),
        helper.make_node("Gemm", ["first", "w"], ["second"], name="one", transB=1),
        helper.make_node("Identity", ["w"], ["same"]),
        helper.make_node("Transpose", ["same"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["second", "turned"], ["third"], name="two"),
        helper.make_node("Gemm", ["third", "same"], ["scores"], name="three", transB=0),
    ]
    w = np.diag([1, 2, 3]).astype(np.float32)
    path = save_graph(tmp_path / "m.onnx", nodes, {"w": w}, ("n", 3, 4, 4), ("n", 3))
    _, trainable = opened(path)
    assert [(layer.name, layer.weights) for layer in trainable.layers] == [
        ("one", ("w",)), ("two", ("w",)), ("three", ("w",)),
    ]  # fmt: skip
    logits = trainable.twin(torch.full((1, 3, 4, 4), 0.5))
    (gradient,) = torch.autograd.grad(logits.sum(), [trainable.parameters["w"]])
    np.testing.assert_allclose(np.diag(gradient), 3 * 0.5 * np.diag(w) ** 2, rtol=1e-5)


def test_a_bias_that_is_a_mean_too(tmp_path: Path) -> None:
    """Exporters store equal tensors once, such as the zeros of untrained networks."""
    w, zeros, ones = np.ones((3, 3, 1, 1)), np.zeros(3), np.ones(3)
    nodes = [
        helper.make_node("Conv", ["image", "w", "zeros"], ["conv"], name="conv"),
        helper.make_node("BatchNormalization", ["conv", "ones", "zeros", "zeros", "ones"], ["bn"]),
        helper.make_node("GlobalAveragePool", ["bn"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["scores"]),
    ]
    stored = {name: np.float32(x) for name, x in (("w", w), ("zeros", zeros), ("ones", ones))}
    path = save_graph(tmp_path / "m.onnx", nodes, stored, ("n", 3, 4, 4), ("n", 3))
    _, trainable = opened(path)
    x = torch.rand(2, 3, 4, 4)
    gradients = torch.autograd.grad(trainable.twin(x).sum(), list(trainable.parameters.values()))
    assert list(trainable.parameters) == ["w", "zeros"]
    np.testing.assert_allclose(gradients[1], [4, 4, 4], rtol=1e-4)  # bias of 2 nodes, 2 images each


class TestChoosing:
    @pytest.mark.parametrize(
        ("kwargs", "wanted", "names"),
        [
            ({}, "all", ["conv", "mixed/left", "mixed/right", "classify"]),
            ({}, "head", ["classify"]),
            ({"head": "MatMul"}, "head", ["classify", "scores"]),
            ({}, "mixed/*", ["mixed/left", "mixed/right"]),
            ({}, "conv, *right", ["conv", "mixed/right"]),
        ],
    )
    def test_by_name(self, tmp_path, kwargs, wanted, names):
        _, trainable = opened(ConvNet(**kwargs).save(tmp_path / "m.onnx"), wanted)
        assert [layer.name for layer in trainable.layers] == names

    def test_frozen_batch_norms_are_left_out(self, tmp_path):
        path = ConvNet(activation="batch-norm").save(tmp_path / "m.onnx")
        _, frozen = opened(path)
        assert not frozen.has_statistics
        assert not {"scale", "mean"} & set(frozen.weights())
        _, free = opened(path, batch_norm=True)
        assert free.has_statistics
        assert set(free.statistics) == {"mean", "variance"}
        assert {"scale", "shift"} <= set(free.parameters)

    def test_a_name_that_fits_none(self, tmp_path):
        path = ConvNet().save(tmp_path / "m.onnx")
        with refused(
            "train-layers: expected all, head or layer names, got 'conv_9'; "
            "the last layers of m.onnx are mixed/left, mixed/right, classify"
        ):
            opened(path, "conv,conv_9")

    def test_nothing_to_train(self, tmp_path):
        nodes = [
            helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["scores"]),
        ]
        path = save_graph(tmp_path / "m.onnx", nodes, {}, ("n", 3, 4, 4), ("n", 3))
        with refused("m.onnx: has no layers that can be trained"):
            opened(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = linear_classifier(tmp_path / "m.onnx", np.ones((2, 12)), (2, 2))
    broken = np.full((2, 12), np.nan, np.float32)
    with refused("weights 'w' are no longer finite numbers"):
        with_weights(load_onnx(path), {"w": broken})
