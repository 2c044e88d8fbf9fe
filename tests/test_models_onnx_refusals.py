"""ONNX files that are rejected with a one-line error, and weights in external files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rsparse.errors import InputError
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.file import load_onnx
from rsparse.models.onnx.graph import activation_layers
from rsparse.models.onnx.probes import AttentionProbe, PeakProbe
from rsparse.models.spec import InputOptions
from tests.onnx_models import ConvNet, linear_classifier, outside_weights, save_graph
from tests.refusals import refused

UNIT = InputOptions(preset="unit")


def images_of(size: tuple[int, int], n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(n)]


def one_node(path: Path, op: str = "Relu", **kwargs: object) -> Path:
    nodes = [helper.make_node(op, ["image"], ["scores"])]
    defaults = {"input_dims": ("n", 3, 4, 4), "output_dims": ("n", 2)} | kwargs
    return save_graph(path, nodes, {}, **defaults)


def with_second_input(path: Path) -> Path:
    model = onnx.load(one_node(path))
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, (1,)))
    path.write_bytes(model.SerializeToString())
    return path


def with_second_output(path: Path) -> Path:
    model = onnx.load(one_node(path))
    model.graph.output.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, None))
    path.write_bytes(model.SerializeToString())
    return path


def test_not_onnx(tmp_path: Path) -> None:
    missing = tmp_path / "missing.onnx"
    with refused(f"{missing}: cannot be read: no such file or directory"):
        load_onnx(missing)
    with refused(f"{tmp_path}: cannot be read: is a folder; name a file"):
        load_onnx(tmp_path)
    path = tmp_path / "m.onnx"
    whole = ConvNet().save(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with refused(f"{path}: is not an ONNX model, or is truncated"):
        load_onnx(path)
    path.write_bytes(b"")
    with refused(f"{path}: is not an ONNX model, or is truncated"):
        load_onnx(path)
    path.write_text("a text that is no model")
    with refused(f"{path}: is not an ONNX model, or is truncated"):
        load_onnx(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path: Path) -> None:
    path = ConvNet().save(tmp_path / "m.onnx")
    path.chmod(0)
    with refused(f"{path}: cannot be read: permission denied"):
        load_onnx(path)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"input_dims": ("n", 784)},
            "expected an image of 4 dimensions as input, such as 1×3×224×224, "
            "but 'image' has shape n×784",
        ),
        (
            {"input_dims": None},
            "expected an image of 4 dimensions as input, such as 1×3×224×224, "
            "but 'image' has an unknown shape",
        ),
        (
            {"input_dims": ("n", 4, 28, 28)},
            "expected an image with 3 colour channels, or one of grey, as input, "
            "but 'image' has shape n×4×28×28",
        ),
        (
            {"input_type": TensorProto.STRING},
            "expected an image in floats or whole numbers as input, but 'image' is string",
        ),
        (
            {"output_dims": ("n", 21, 4, 4)},
            "expected one row of class scores per image as output, such as 1×1000, "
            "but 'scores' has shape n×21×4×4",
        ),
    ],
)
def test_not_an_image_classifier(tmp_path: Path, kwargs: dict, message: str) -> None:
    path = one_node(tmp_path / "m.onnx", **kwargs)
    with refused(f"{path}: {message}"):
        load_classifier(path, UNIT)


def test_several_inputs_or_outputs(tmp_path: Path) -> None:
    path = with_second_input(tmp_path / "m.onnx")
    with refused(f"{path}: expected one input, an image, got 2: image, mask"):
        load_onnx(path)
    path = with_second_output(tmp_path / "m.onnx")
    message = "has 2 outputs: scores (n×2), image (unknown shape); choose the one with the class "
    with refused(f"{path}: {message}scores by --scores scores"):
        load_classifier(path, UNIT)
    model = onnx.load(path)
    for name in ("488", "500"):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ("n", 2)))
        model.graph.node.append(helper.make_node("Identity", ["image"], [name]))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    model.graph.output[1].type.tensor_type.elem_type = TensorProto.STRING
    several = tmp_path / "several.onnx"
    several.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="by --scores NAME, where NAME is one of 488, 500$"):
        load_classifier(several, UNIT)
    del model.graph.output[2:]
    several.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="; export it with a score in floats for each class as an"):
        load_classifier(several, UNIT)
    with refused(
        f"{path}: has no output 'probs'; its outputs: scores (n×2), image (unknown shape)"
    ):
        load_classifier(path, InputOptions("unit", scores="probs"))


def test_weights_listed_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    """Files of early ONNX versions list their weights among the inputs."""
    path = ConvNet().save(tmp_path / "m.onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        model.graph.input.insert(0, value)
    path.write_bytes(model.SerializeToString())
    assert load_onnx(path).input.name == "image"
    assert load_classifier(path, UNIT).logits(images_of((12, 10), 1)).shape == (1, 4)


def test_what_onnxruntime_refuses(tmp_path: Path) -> None:
    path = one_node(tmp_path / "m.onnx", "NoSuchOperator")
    classifier = load_classifier(path, UNIT)
    with pytest.raises(InputError, match="onnxruntime cannot run it: ") as raised:
        classifier.logits(images_of((4, 4), 1))
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert "NoSuchOperator" in message
    assert "\n" not in message


def test_weights_beside_the_model(tmp_path: Path) -> None:
    net = ConvNet()
    inside = load_classifier(net.save(tmp_path / "inside.onnx"), UNIT)
    path = outside_weights(tmp_path / "m.onnx", "weights/w.bin")
    with refused(f"{path}: its external weights 'weights/w.bin' are missing"):
        load_onnx(path)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(net.weights.tobytes())
    images = images_of((12, 10), 2)
    outside = load_classifier(path, UNIT)
    np.testing.assert_array_equal(outside.logits(images), inside.logits(images))
    (tmp_path / "weights" / "w.bin").write_bytes((net.weights + 1).tobytes())
    assert load_onnx(path).sha256 != outside.sha256, "the weights are part of the model"
    (tmp_path / "weights" / "w.bin").write_bytes(b"short")
    with refused(f"{path}: the external weights 'w' cannot be read"):
        load_onnx(path)


@pytest.mark.parametrize("location", ["/etc/passwd", "../w.bin", "a/../../w.bin", "a\\w.bin", ""])
def test_weights_outside_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "w.bin").write_bytes(ConvNet().weights.tobytes())
    (tmp_path / "models").mkdir()
    path = outside_weights(tmp_path / "models" / "m.onnx", location)
    with refused(f"{path}: has external weights outside its own folder: {location!r}"):
        load_onnx(path)


def test_weights_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(ConvNet().weights.tobytes())
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "w.bin").symlink_to(tmp_path / "w.bin")
    path = outside_weights(tmp_path / "models" / "m.onnx", "w.bin")
    with refused(f"{path}: has external weights outside its own folder: 'w.bin' is a link"):
        load_onnx(path)


def test_weights_hidden_in_a_node(tmp_path: Path) -> None:
    tensor = onnx.numpy_helper.from_array(np.zeros(4, np.float32), "hidden")
    onnx.external_data_helper.set_external_data(tensor, "/etc/passwd")
    node = helper.make_node("Constant", [], ["unused"], value=tensor)
    path = save_graph(tmp_path / "m.onnx", [node], {}, ("n", 3, 4, 4), ("n", 2))
    with refused(f"{path}: has external weights outside its own folder: '/etc/passwd'"):
        load_onnx(path)


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    weights = np.full((2, 12), np.nan)
    path = linear_classifier(tmp_path / "m.onnx", weights, (2, 2))
    with refused(f"{path}: its class scores are not finite numbers"):
        load_classifier(path, UNIT).check()


def test_damaged_files_are_refused_in_one_line(tmp_path: Path) -> None:
    """After random byte changes, a model either runs or is rejected with a one-line error."""
    path, rng = tmp_path / "m.onnx", np.random.default_rng(0)
    outcomes = []
    for _ in range(150):
        kwargs = [{}, {"head": "Conv", "background": True}, {"tail": "Softmax"}][rng.integers(3)]
        content = bytearray(ConvNet(**kwargs).save(path).read_bytes())
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        try:
            classifier = load_classifier(path, UNIT).check()
            PeakProbe(classifier, activation_layers(classifier.graph))
            AttentionProbe(classifier)
            outcomes.append("runs")
        except InputError as error:
            outcomes.append(str(error))
    messages = [text for text in outcomes if text != "runs"]
    assert 0 < len(messages) < len(outcomes)
    assert all(text.startswith((f"{path}: ", "model: ")) for text in messages)
    assert not any("\n" in text for text in messages)
