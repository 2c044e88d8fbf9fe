"""The torch twin: same logits as onnxruntime, and gradients for the image only."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from rsparse.errors import InputError
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.parity import disagreement
from rsparse.models.spec import InputOptions
from tests.onnx_models import ConvNet, images_of, linear_classifier, save_graph
from tests.refusals import refused

torch = pytest.importorskip("torch")

from rsparse.models.torch import twin as twin_module  # noqa: E402
from rsparse.models.torch.operators import OPERATORS, Operator  # noqa: E402
from rsparse.models.torch.twin import load_twin  # noqa: E402
from tests.toy_networks import as_tensor  # noqa: E402

UNIT = InputOptions(preset="unit")


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"layout": "NHWC"},
        {"tail": "Softmax"},
        {"tail": "LogSoftmax"},
        {"head": "Conv", "background": True},
        {"batch": 1},
        {"batch": 4},
        {"activation": "silu", "pool": "ReduceMean"},
    ],
    ids=repr,
)
@pytest.mark.parametrize("size", [(12, 10), (30, 21), (5, 40)])
def test_parity(tmp_path: Path, kwargs: dict, size: tuple[int, int]) -> None:
    """For any size and graph form, twin and classifier give the same logits."""
    spec = InputOptions(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), range=1.0, channels="bgr")
    classifier = load_classifier(ConvNet(**kwargs).save(tmp_path / "m.onnx"), spec)
    x = as_tensor(images_of(size, 3))
    found = load_twin(classifier)(x).numpy()
    floats = list(x.numpy().transpose(0, 2, 3, 1))
    np.testing.assert_allclose(found, classifier.logits(floats), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("opset", [7, 9, 13, 18, 21, onnx.defs.onnx_opset_version()])
def test_the_declared_version_makes_no_difference(tmp_path: Path, opset: int) -> None:
    usual = load_twin(load_classifier(ConvNet().save(tmp_path / "usual.onnx"), UNIT))
    path = ConvNet(opset=opset).save(tmp_path / "m.onnx")
    x = as_tensor(images_of((12, 10), 2))
    assert torch.equal(load_twin(load_classifier(path, UNIT))(x), usual(x))


def test_gradient_of_a_linear_classifier(tmp_path: Path) -> None:
    """The gradient is the weights, mapped back through channel order, scaling and resizing."""
    weights = np.random.default_rng(0).normal(size=(3, 3 * 4 * 6)).astype(np.float32)
    path = linear_classifier(tmp_path / "m.onnx", weights, (4, 6))
    spec = InputOptions(mean=(0.1, 0.2, 0.3), std=(0.5, 1, 2), range=255.0, channels="bgr")
    twin = load_twin(load_classifier(path, spec))
    x = as_tensor(images_of((8, 12), 1)).requires_grad_(True)
    twin(x)[0, 1].backward()
    per_channel = weights[1].reshape(3, 4, 6) * 255 / np.array([0.5, 1, 2])[:, None, None]
    expected = np.repeat(np.repeat(per_channel[::-1], 2, axis=1), 2, axis=2) / 4
    np.testing.assert_allclose(x.grad[0].numpy(), expected, rtol=1e-4)


def test_nothing_but_the_image_has_a_gradient(tmp_path: Path) -> None:
    twin = load_twin(load_classifier(ConvNet(head="MatMul").save(tmp_path / "m.onnx"), UNIT))
    assert not twin.training
    assert not any(tensor.requires_grad for tensor in (*twin.parameters(), *twin.buffers()))
    assert len(list(twin.buffers())) > 2


def test_unknown_operators_are_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Det", ["image"], ["t"]),
        helper.make_node("Bernoulli", ["t"], ["u"]),
        helper.make_node("Hardmax", ["u"], ["v"]),
        helper.make_node("Hardmax", ["v"], ["scores"]),
    ]
    path = save_graph(tmp_path / "m.onnx", nodes, {}, ("n", 3, 4, 4), ("n", 3), opset=18)
    message = (
        "cannot be converted to torch, which attacks by gradients, training and GPUs need: "
        "the operators Hardmax, RandomUniformLike (of ai.onnx 18) cannot be computed in torch"
    )
    with refused(f"{path}: {message}"):
        load_twin(load_classifier(path, UNIT))


@pytest.mark.parametrize(
    ("expected", "found", "agree"),
    [
        ([[0.0, 1.0]], [[0.0009, 1.0]], True),
        ([[0.0, 1.0]], [[0.0011, 1.0]], False),
        ([[100.0, 100.0]], [[100.004, 100.0]], True),  # equal scores
        ([[100.0, 100.0]], [[100.006, 100.0]], False),
        ([[0.0, 1.0]], [[0.0]], False),
    ],
)
def test_what_counts_as_equal_logits(expected: list, found: list, agree: bool) -> None:
    difference = disagreement(np.float32(found), np.float32(expected))
    assert (difference is None) == agree


def test_different_logits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT)
    convert = twin_module.convert

    def careless(model: onnx.ModelProto) -> torch.nn.Module:
        network = convert(model)
        with torch.no_grad():
            next(network.buffers()).add_(0.01)
        return network

    monkeypatch.setattr(twin_module, "convert", careless)
    message = "its torch twin's logits differ from onnxruntime's by .*, with logits over a range of"
    with pytest.raises(InputError, match=message):
        load_twin(classifier)


def test_conversion_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT)

    def failing(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x * weight

    monkeypatch.setitem(OPERATORS, "Relu", Operator(failing, (("x", "Tensor"), ("w", "Tensor"))))
    message = (
        "its torch twin does not run: the operator Relu .of ai.onnx 17.: .* missing 1 required"
    )
    with pytest.raises(InputError, match=f"^{re.escape(str(classifier.path))}: {message}"):
        load_twin(classifier)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("model", "preset"),
    [("mobilenet_v2_224", "mobilenet-v2"), ("mobilenet_v1_075_192", "unit")],
)
def test_parity_on_real_networks(shared: Path, model: str, preset: str) -> None:
    classifier = load_classifier(shared / "models" / f"{model}.onnx", InputOptions(preset))
    x = as_tensor(images_of((299, 299), 1))
    floats = list(x.numpy().transpose(0, 2, 3, 1))
    difference = load_twin(classifier)(x).numpy() - classifier.logits(floats)
    assert np.abs(difference).max() < 1e-4
