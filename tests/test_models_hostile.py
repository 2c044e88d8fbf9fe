"""Graphs that would run forever or exhaust the memory are refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rsparse.errors import InputError
from rsparse.models.onnx import session
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.graph import activation_layers
from rsparse.models.onnx.probes import AttentionProbe
from rsparse.models.spec import InputOptions
from tests.onnx_models import images_of, save_graph, without_stored_weights
from tests.refusals import refused
from tests.score_graphs import FLAT, SIGMOID_TAILS, head, in_half_precision, tailed

UNIT = InputOptions(preset="unit")
POOL = [
    helper.make_node("GlobalAveragePool", ["image"], ["p"]),
    helper.make_node("Flatten", ["p"], ["f"]),
]


def looping(path: Path, times: int, *body: onnx.NodeProto, outputs: tuple[str, str]) -> Path:
    """A network that passes the mean of each channel through a loop."""
    scalar, tensor = [], None
    inside = helper.make_graph(
        list(body),
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, scalar),
            helper.make_tensor_value_info("go", TensorProto.BOOL, scalar),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, tensor),
        ],
        [
            helper.make_tensor_value_info(outputs[0], TensorProto.BOOL, scalar),
            helper.make_tensor_value_info(outputs[1], TensorProto.FLOAT, tensor),
        ],
    )
    loop = helper.make_node("Loop", ["times", "yes", "f"], ["scores"], body=inside)
    constants = {"times": np.array(times), "yes": np.array(True)}
    return save_graph(path, [*POOL, loop], constants, ("n", 3, 8, 8), ("n", 3))


STEP = [
    helper.make_node("Identity", ["go"], ["again"]),
    helper.make_node("Relu", ["v"], ["w"]),
]


def test_a_loop_that_ends(tmp_path: Path) -> None:
    path = looping(tmp_path / "m.onnx", 3, *STEP, outputs=("again", "w"))
    images = images_of((8, 8), 2)
    found = load_classifier(path, UNIT).check().logits(images)
    expected = [image.mean(axis=(0, 1)) / 255 for image in images]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_loop_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SECONDS", 0.3)
    path = looping(tmp_path / "m.onnx", 2**62, *STEP, outputs=("again", "w"))
    with refused(f"{path}: has a loop that did not end within 0.3 s"):
        load_classifier(path, UNIT).check()


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ([], ("go", "v")),
        ([helper.make_node("Relu", ["v"], ["unused"])], ("go", "v")),
        ([helper.make_node("Constant", [], ["c"], value_float=1.0)], ("go", "c")),
    ],
    ids=["empty", "unused", "constant"],
)
def test_a_loop_that_onnxruntime_could_not_stop(
    tmp_path: Path, body: list, outputs: tuple[str, str]
) -> None:
    path = looping(tmp_path / "m.onnx", 2**62, *body, outputs=outputs)
    with refused(f"{path}: has a loop that computes nothing"):
        load_classifier(path, UNIT).check()


def test_a_tensor_that_no_memory_holds(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Resize", ["image", "", "scales"], ["large"], mode="nearest"),
        helper.make_node("GlobalAveragePool", ["large"], ["p"]),
        helper.make_node("Flatten", ["p"], ["scores"]),
    ]
    scales = {"scales": np.array([1, 1, 10_000, 10_000], np.float32)}
    path = save_graph(tmp_path / "m.onnx", nodes, scales, ("n", 3, 8, 8), ("n", 3))
    with refused(
        f"{path}: computes a tensor of 19,200,000,000 numbers ('large') for one image; at most "
        "2,147,483,648 are computed"
    ):
        load_classifier(path, UNIT)


def with_token(path: Path, batch: int, tokens: float = 1.0) -> Path:
    """A network with a stored token for each image; with ``tokens`` above 1, they differ."""
    nodes = [
        *POOL,
        helper.make_node("Concat", ["f", "token"], ["t"], axis=1),
        helper.make_node("MatMul", ["t", "w"], ["scores"]),
    ]
    constants = {
        "token": np.linspace(1, tokens, batch)[:, None].repeat(2, axis=1).astype(np.float32),
        "w": np.arange(15, dtype=np.float32).reshape(5, 3),
    }
    return save_graph(path, nodes, constants, (batch, 3, 8, 8), (batch, 3))


def test_a_token_that_is_stored_for_each_image(tmp_path: Path) -> None:
    """Exporters repeat a vision transformer's class token like this; one image needs it once."""
    images = images_of((8, 8), 3)
    one = load_classifier(with_token(tmp_path / "1.onnx", 1), UNIT).logits(images)
    for batch in (2, 8193):
        classifier = load_classifier(with_token(tmp_path / "m.onnx", batch), UNIT)
        assert classifier.batch == 1
        np.testing.assert_allclose(classifier.logits(images), one, rtol=1e-5)


def test_a_fixed_batch_that_cannot_be_opened(tmp_path: Path) -> None:
    images = images_of((8, 8), 2)
    classifier = load_classifier(with_token(tmp_path / "m.onnx", 2, tokens=3), UNIT)
    assert classifier.batch == 2
    weights = np.arange(15, dtype=np.float32).reshape(5, 3)
    rows = [[*image.mean(axis=(0, 1)) / 255, n, n] for image, n in zip(images, (1, 3), strict=True)]
    np.testing.assert_allclose(classifier.logits(images), np.array(rows) @ weights, rtol=1e-5)
    path = with_token(tmp_path / "m.onnx", 65, tokens=3)
    with refused(
        f"{path}: takes 65 images at a time, which is more than 64, and its graph cannot be "
        "changed to take one; export it with an open batch size"
    ):
        load_classifier(path, UNIT)


@pytest.mark.parametrize("target", [[4, -1], [-1, 12], [4, 3, 4], [8, 6]])
def test_shapes_with_the_number_of_images(tmp_path: Path, target: list[int]) -> None:
    """A Reshape to a fixed batch is opened, even if it merges images with positions."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("AveragePool", ["image"], ["p"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Reshape", ["p", "target"], ["r"]),
        helper.make_node("Relu", ["r"], ["s"]),
        helper.make_node("Reshape", ["s", "rows"], ["t"]),
        helper.make_node("MatMul", ["t", "w"], ["scores"]),
    ]
    constants = {
        "target": np.array(target), "rows": np.array([4, 12]),
        "w": rng.normal(size=(12, 5)).astype(np.float32),
    }  # fmt: skip
    path = save_graph(tmp_path / "m.onnx", nodes, constants, (4, 3, 8, 8), (4, 5))
    images = images_of((8, 8), 3)
    pooled = np.stack(images).reshape(3, 2, 4, 2, 4, 3).mean(axis=(2, 4)) / 255
    expected = pooled.transpose(0, 3, 1, 2).reshape(3, 12) @ constants["w"]
    classifier = load_classifier(path, UNIT).check()
    assert classifier.batch is None
    np.testing.assert_allclose(classifier.logits(images), expected, rtol=1e-4, atol=1e-5)


def test_damaged_files_of_other_forms(tmp_path: Path) -> None:
    """Randomly changed bytes give a one-line error or a classifier, never another error."""
    path, rng = tmp_path / "m.onnx", np.random.default_rng(0)
    made = [
        lambda: with_token(path, 5),
        lambda: looping(path, 3, *STEP, outputs=("again", "w")),
        lambda: (without_stored_weights(path, "ConstantOfShape"), path)[1],
        lambda: tailed(path, SIGMOID_TAILS["plain"], classes=1, output=("n", 1)),
        lambda: in_half_precision(head(path, FLAT), TensorProto.FLOAT16),
    ]
    outcomes = []
    for number in range(40):
        content = bytearray(made[number % len(made)]().read_bytes())
        for place in rng.integers(0, len(content), rng.integers(1, 5)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        try:
            classifier = load_classifier(path, UNIT).check()
            activation_layers(classifier.graph)
            AttentionProbe(classifier)
            outcomes.append("runs")
        except InputError as error:
            outcomes.append(str(error))
    assert 0 < outcomes.count("runs") < 40
    assert not any("\n" in text for text in outcomes)


@pytest.mark.parametrize("name", [b"\xff\xfe", b"x"])
def test_a_graph_whose_name_is_no_text(tmp_path: Path, name: bytes) -> None:
    path = with_token(tmp_path / "m.onnx", 2)
    content = path.read_bytes()
    assert content.count(b"tiny") == 1
    path.write_bytes(content.replace(b"tiny", name.ljust(4, b"y")))
    load_classifier(path, UNIT).check()


def test_an_unknown_type_of_numbers(tmp_path: Path) -> None:
    path = with_token(tmp_path / "m.onnx", 2)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = 77
    path.write_bytes(model.SerializeToString())
    message = "expected an image in floats or whole numbers as input, but 'image' is type 77"
    with refused(f"{path}: {message}"):
        load_classifier(path, UNIT)
