"""Networks whose scores have unusual forms: softmax or sigmoid at the end, half precision."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from tests.onnx_models import save_graph

UNIT = InputOptions(preset="unit")
RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(3, 4, 3, 3)).astype(np.float32)
CONSTANTS = {
    "axis": np.array([1]),
    "axis1": np.array([1]),
    "zero": np.array([0]),
    "tiny": np.array(1e-6, np.float32),
}
CONSTANTS["one"] = np.array(1, np.float32)


def head(
    path: Path,
    *tail: onnx.NodeProto,
    classes: int = 4,
    output: tuple = ("n", 4),
    constants: dict[str, np.ndarray] | None = None,
    dims: tuple = ("n", 3, 8, 8),
    **kwargs: object,
) -> Path:
    """A network: conv ``w``, global pooling, 1×1 conv to ``z`` (n, classes, 1, 1), then a tail."""
    rng = np.random.default_rng(1)
    stored = {
        "w": rng.normal(size=(5, dims[1], 3, 3)).astype(np.float32),
        "v": (3 * rng.normal(size=(classes, 5, 1, 1))).astype(np.float32),
        "b": rng.normal(size=classes).astype(np.float32),
        **(constants or {}),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], name="pool"),
        helper.make_node("Conv", ["p", "v", "b"], ["z"], name="classify"),
        *tail,
    ]
    return save_graph(path, nodes, stored, dims, output, **kwargs)


def node(op: str, *names: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, names[:-1], names[-1:], **attributes)


FLAT = node("Flatten", "z", "scores")


def plain_logits(tmp_path: Path, images: list[np.ndarray], classes: int = 4) -> np.ndarray:
    path = head(tmp_path / "plain.onnx", FLAT, classes=classes, output=("n", classes))
    return load_classifier(path, InputOptions("unit", score_type="logits")).logits(images)


def tailed(path: Path, tail: list[onnx.NodeProto], **kwargs: object) -> Path:
    """``head`` with a tail that may call its output ``out``."""
    renamed = []
    for each in tail:
        copy = onnx.NodeProto()
        copy.CopyFrom(each)
        for names in (copy.input, copy.output):
            if any(one.output[0] == "out" for one in tail):
                names[:] = [{"scores": "logits", "out": "scores"}.get(n, n) for n in names]
        renamed.append(copy)
    used = {name for each in renamed for name in each.input}
    constants = {name: value for name, value in CONSTANTS.items() if name in used}
    return head(path, *renamed, constants=constants, **kwargs)


SIGMOID_TAILS = {
    "plain": [FLAT, node("Sigmoid", "scores", "out")],
    "behind moves": [
        node("Sigmoid", "z", "s"), node("Flatten", "s", "i"), node("Identity", "i", "scores"),
    ],
    "written out": [
        FLAT, node("Neg", "scores", "m"), node("Exp", "m", "e"), node("Add", "e", "one", "d"),
        node("Div", "one", "d", "out"),
    ],
    "written out, inverted": [
        FLAT, node("Neg", "scores", "m"), node("Exp", "m", "e"), node("Add", "one", "e", "d"),
        node("Reciprocal", "d", "out"),
    ],
}  # fmt: skip


def in_half_precision(path: Path, kind: int, *, edges: bool = True) -> Path:
    """Convert a network to float16 or bfloat16; without ``edges``, only between casts."""
    model = onnx.load(path)
    dtype = np.float16 if kind == TensorProto.FLOAT16 else ml_dtypes.bfloat16
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            array = numpy_helper.to_array(tensor).astype(dtype)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    if edges:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.elem_type = kind
    else:
        model.graph.node[0].input[0] = "half"
        model.graph.node.insert(0, node("Cast", "image", "half", to=kind))
        model.graph.node[-1].output[0] = "halved"
        model.graph.node.append(node("Cast", "halved", "scores", to=TensorProto.FLOAT))
    path.write_bytes(model.SerializeToString())
    return path
