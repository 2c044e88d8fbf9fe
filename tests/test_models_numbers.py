"""Networks whose images are whole numbers or doubles, whose scores are columns, or too new."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rsparse.errors import InputError
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.probes import AttentionProbe, layer_activations
from rsparse.models.spec import InputOptions
from tests.onnx_models import images_of, save_graph
from tests.refusals import refused
from tests.score_graphs import FLAT, head, node, plain_logits

DIMS = ("n", 8, 8, 3)
PLAIN = InputOptions()
BYTES = InputOptions(mean=(0,) * 3, std=(1,) * 3, range=255.0)


def of_whole_numbers(
    path: Path,
    kind: int,
    *first: onnx.NodeProto,
    constants: dict[str, np.ndarray] | None = None,
) -> Path:
    """A network of images of whole numbers, which it moves, casts, and scales; or ``first``."""
    first = first or (
        node("Transpose", "image", "moved", perm=[0, 3, 1, 2]),
        node("Cast", "moved", "float", to=TensorProto.FLOAT),
    )
    nodes = [
        *first, node("Div", "float", "white", "x"), node("Conv", "x", "w", "c"),
        node("Relu", "c", "r"), node("GlobalAveragePool", "r", "p"), node("Flatten", "p", "f"),
        node("MatMul", "f", "v", "scores"),
    ]  # fmt: skip
    rng = np.random.default_rng(1)
    stored = {
        **(constants or {}),
        "w": rng.normal(size=(5, 3, 3, 3)).astype(np.float32), "white": np.float32(255),
        "v": (3 * rng.normal(size=(5, 4))).astype(np.float32),
    }  # fmt: skip
    used = {name for each in nodes for name in each.input}
    if "two" in used:
        stored["two"] = np.array(2, helper.tensor_dtype_to_np_dtype(kind))
    return save_graph(path, nodes, stored, DIMS, ("n", 4), input_type=kind)


KINDS = [
    TensorProto.UINT8, TensorProto.UINT16, TensorProto.INT32, TensorProto.INT64,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_whole_numbers_are_the_pixels(tmp_path: Path, kind: int) -> None:
    classifier = load_classifier(of_whole_numbers(tmp_path / "m.onnx", kind), PLAIN).check()
    images = images_of((8, 8), 2)
    same = of_whole_numbers(tmp_path / "float.onnx", TensorProto.FLOAT)
    expected = load_classifier(same, BYTES).check().logits(images)
    np.testing.assert_allclose(classifier.logits(images), expected, rtol=1e-5, atol=1e-5)
    assert classifier.sources["range"] == "graph"
    assert classifier.spec.range == 255
    layer_activations(classifier, images)
    AttentionProbe(classifier).features(images)


def test_gradients_reach_whole_numbers(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from rsparse.models.torch.twin import load_twin

    classifier = load_classifier(of_whole_numbers(tmp_path / "m.onnx", TensorProto.UINT8), PLAIN)
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    load_twin(classifier.check())(x).square().sum().backward()
    assert (x.grad != 0).any(dim=(1, 2, 3)).all()


@pytest.mark.parametrize(
    ("kind", "zero"), [(TensorProto.UINT8, np.uint8(0)), (TensorProto.INT8, np.int8(-128)),
                       (TensorProto.UINT8, None)],
)  # fmt: skip
def test_gradients_reach_what_is_dequantised(tmp_path: Path, kind: int, zero: np.generic) -> None:
    torch = pytest.importorskip("torch")
    from rsparse.models.torch.twin import load_twin

    names = ["image", "scale", *(["zero"] if zero is not None else [])]
    first = [
        helper.make_node("DequantizeLinear", names, ["moved"]),
        node("Transpose", "moved", "float", perm=[0, 3, 1, 2]),
    ]
    constants = {"scale": np.float32(1), **({} if zero is None else {"zero": np.array(zero)})}
    path = of_whole_numbers(tmp_path / "m.onnx", kind, *first, constants=constants)
    classifier = load_classifier(path, PLAIN).check()
    images = images_of((8, 8), 2)
    same = of_whole_numbers(tmp_path / "float.onnx", TensorProto.FLOAT)
    expected = load_classifier(same, BYTES).check().logits(images)
    np.testing.assert_allclose(classifier.logits(images), expected, rtol=1e-5, atol=1e-5)
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    load_twin(classifier)(x).square().sum().backward()
    assert (x.grad != 0).any(dim=(1, 2, 3)).all()


def test_int8_is_from_minus_128(tmp_path: Path) -> None:
    path = of_whole_numbers(tmp_path / "m.onnx", TensorProto.INT8)
    classifier = load_classifier(path, PLAIN).check()
    (black,), (white,) = (np.full((1, 8, 8, 3), v, np.uint8) for v in (0, 255))
    x = classifier.prepare([black, white])
    assert (x[0].min(), x[0].max(), x[1].min(), x[1].max()) == (-128, -128, 127, 127)


def test_arithmetic_of_whole_numbers_stays_that(tmp_path: Path) -> None:
    first = [
        node("Transpose", "image", "moved", perm=[0, 3, 1, 2]),
        node("Div", "moved", "two", "halved"), node("Cast", "halved", "float", to=1),
    ]  # fmt: skip
    path = of_whole_numbers(tmp_path / "m.onnx", TensorProto.UINT8, *first)
    images = images_of((8, 8), 2)
    found = load_classifier(path, PLAIN).check().logits(images)
    same = of_whole_numbers(tmp_path / "float.onnx", TensorProto.FLOAT)
    halves = [image // 2 for image in images]
    expected = load_classifier(same, BYTES).check().logits(halves)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_scaling_that_loses_the_pixels_is_refused(tmp_path: Path) -> None:
    path = of_whole_numbers(tmp_path / "m.onnx", TensorProto.UINT8)
    with refused(
        f"{path}: takes whole numbers (uint8), but preset unit would scale pixels to 0…1; leave "
        "that out for 0…255"
    ):
        load_classifier(path, InputOptions("unit"))
    path = of_whole_numbers(tmp_path / "m.onnx", TensorProto.INT8)
    with refused(
        f"{path}: takes whole numbers (int8), but --input-range and --mean and --std would scale "
        "pixels to 0…255; leave that out for -128…127"
    ):
        load_classifier(path, BYTES)


def test_doubles_are_computed_in_float32(tmp_path: Path) -> None:
    path = head(tmp_path / "m.onnx", FLAT)
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    path.write_bytes(model.SerializeToString())
    classifier = load_classifier(path, InputOptions("unit")).check()
    images = images_of((8, 8), 2)
    np.testing.assert_allclose(
        classifier.logits(images), plain_logits(tmp_path, images), rtol=1e-5, atol=1e-5
    )
    assert classifier.notes == [
        "m.onnx: has numbers of double precision, which are computed in float32"
    ]


@pytest.mark.parametrize("dims", [(1, 3, 8, 8), ("n", 3, 8, 8)])
@pytest.mark.parametrize("declared", [True, False])
def test_a_column_of_scores_for_each_image_is_turned(
    tmp_path: Path, dims: tuple, declared: bool
) -> None:
    tail = [node("Flatten", "z", "row"), node("Transpose", "row", "scores", perm=[1, 0])]
    output = (4, dims[0]) if declared else None
    path = head(tmp_path / "m.onnx", *tail, dims=dims, output=output)
    classifier = load_classifier(path, InputOptions("unit")).check()
    images = images_of((8, 8), 3)
    assert classifier.n_classes == 4
    np.testing.assert_allclose(
        classifier.logits(images), plain_logits(tmp_path, images), rtol=1e-5, atol=1e-5
    )


def test_a_column_for_as_many_images_as_classes_is_turned(tmp_path: Path) -> None:
    tail = [node("Flatten", "z", "row"), node("Transpose", "row", "scores", perm=[1, 0])]
    path = head(tmp_path / "m.onnx", *tail, dims=(4, 3, 8, 8), output=(4, 4))
    images = images_of((8, 8), 5)
    found = load_classifier(path, InputOptions("unit")).check().logits(images)
    np.testing.assert_allclose(found, plain_logits(tmp_path, images), rtol=1e-5, atol=1e-5)


def test_scores_for_other_images_than_given_are_refused(tmp_path: Path) -> None:
    tail = [node("Concat", "z", "z", "scores", axis=0)]
    path = head(tmp_path / "m.onnx", *tail, output=None)
    with refused(
        f"{path}: expected one row of class scores per image as output, such as 1×1000, but "
        "'scores' has shape 2×4×1×1"
    ):
        load_classifier(path, InputOptions("unit"))


def newer(path: Path, *, opset: int | None = None, ir: int | None = None) -> Path:
    model = onnx.load(head(path, FLAT))
    model.opset_import[0].version = opset or model.opset_import[0].version
    model.ir_version = ir or model.ir_version
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"opset": 999}, r"has operator set 999 of ai\.onnx, but onnxruntime \S+ runs sets up to "
         r"(\d+); export it with an older one \(opset_version=\1\), or install a newer "
         "onnxruntime"),
        ({"ir": 999}, r"has ONNX's IR version 999, but onnxruntime \S+ reads versions up to "
         r"(\d+); save it with an older one \(model\.ir_version = \1\), or install a newer "
         "onnxruntime"),
    ],
)  # fmt: skip
def test_files_newer_than_onnxruntime(tmp_path: Path, change: dict, message: str) -> None:
    path = newer(tmp_path / "m.onnx", **change)
    with pytest.raises(InputError, match=rf"m\.onnx: {message}\Z"):
        load_classifier(path, InputOptions("unit")).check()
