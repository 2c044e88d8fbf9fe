"""Tiny ONNX classifiers for the tests, with known weights and outputs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def save_graph(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    input_dims: tuple[Any, ...],
    output_dims: tuple[Any, ...] | None,
    *,
    input_type: int = TensorProto.FLOAT,
    metadata: dict[str, str] | None = None,
    opset: int = OPSET,
) -> Path:
    """Save an ONNX file whose nodes compute ``scores`` from ``image``."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", input_type, input_dims)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, output_dims)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    helper.set_model_props(model, metadata or {})
    path.write_bytes(model.SerializeToString())
    return path


def linear_classifier(
    path: Path, weights: np.ndarray, size: tuple[int, int], bias: np.ndarray | None = None
) -> Path:
    """Scores = weights · pixels (channel, row, column) + bias; weights (classes, 3·h·w)."""
    classes = len(weights)
    constants = {
        "w": weights.astype(np.float32),
        "b": np.zeros(classes, np.float32) if bias is None else bias.astype(np.float32),
    }
    nodes = [
        helper.make_node("Flatten", ["image"], ["pixels"], name="flatten"),
        helper.make_node("Gemm", ["pixels", "w", "b"], ["scores"], name="linear", transB=1),
    ]
    return save_graph(path, nodes, constants, ("n", 3, *size), ("n", classes))


@dataclass
class ConvNet:
    """conv → relu → (left, right) → join → pool → linear, each step in a chosen form.

    ``weights`` (outputs, 5) and ``bias`` are the classifier's before any background row is cut.
    """

    size: tuple[int, int] = (12, 10)
    classes: int = 4
    batch: int | str = "n"
    layout: str = "NCHW"
    activation: str = "Relu"
    pool: str = "GlobalAveragePool"
    head: str = "Gemm"
    background: bool = False
    tail: str | None = None
    open_size: bool = False
    seed: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    opset: int = OPSET

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        outputs = self.classes + self.background
        self.weights = rng.normal(size=(outputs, 5)).astype(np.float32)
        self.bias = rng.normal(size=outputs).astype(np.float32)
        self.constants = {
            "conv.w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
            "conv.b": rng.normal(size=4).astype(np.float32),
            "left.w": rng.normal(size=(2, 4, 1, 1)).astype(np.float32),
            "right.w": rng.normal(size=(3, 4, 3, 3)).astype(np.float32),
        }
        self.nodes: list[onnx.NodeProto] = []

    def save(self, path: Path) -> Path:
        """Build the graph and write it."""
        tensor = "image"
        if self.layout == "NHWC":
            tensor = self._add("Transpose", tensor, name="to_nchw", perm=[0, 3, 1, 2])
        tensor = self._add("Conv", tensor, "conv.w", "conv.b", name="conv", pads=[1, 1, 1, 1])
        tensor = self._activate(tensor)
        left = self._add("Relu", self._add("Conv", tensor, "left.w", name="mixed/left"))
        right = self._add(
            "Conv", tensor, "right.w", name="mixed/right", pads=[1, 1, 1, 1], strides=[1, 1]
        )
        right = self._add("Relu", right)
        tensor = self._head(self._pool(self._add("Concat", left, right, name="mixed/join", axis=1)))
        if self.background:
            self.constants |= {"from": np.array([1]), "to": np.array([10**6]), "ax": np.array([1])}
            tensor = self._add("Slice", tensor, "from", "to", "ax", name="drop_background")
        if self.tail:
            tensor = self._add(self.tail, tensor, name="tail", axis=1)
        self.nodes[-1].output[0] = "scores"
        sides = ("h", "w") if self.open_size else self.size
        dims = (self.batch, 3, *sides) if self.layout == "NCHW" else (self.batch, *sides, 3)
        return save_graph(
            path, self.nodes, self.constants, dims, (self.batch, self.classes),
            metadata=self.metadata, opset=self.opset,
        )  # fmt: skip

    def _add(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def _activate(self, tensor: str) -> str:
        if self.activation == "none":
            return tensor
        if self.activation == "batch-norm":
            self.constants |= {
                "scale": np.full(4, 2, np.float32), "shift": np.ones(4, np.float32),
                "mean": np.zeros(4, np.float32), "variance": np.ones(4, np.float32),
            }  # fmt: skip
            tensor = self._add("BatchNormalization", tensor, "scale", "shift", "mean", "variance")
            return self._add("Relu", tensor)
        if self.activation == "silu":
            return self._add("Mul", tensor, self._add("Sigmoid", tensor))
        if self.activation == "hard-swish":
            self.constants |= {name: np.float32(x) for name, x in (("0", 0), ("3", 3), ("6", 6))}
            gate = self._add("Clip", self._add("Add", tensor, "3"), "0", "6")
            return self._add("Div", self._add("Mul", tensor, gate), "6")
        if self.activation == "residual":
            return self._add("Relu", self._add("Add", tensor, self._add("Neg", tensor)))
        return self._add(self.activation, tensor)

    def _pool(self, tensor: str) -> str:
        if self.pool == "ReduceMean":
            return self._add("ReduceMean", tensor, name="pool", axes=[2, 3], keepdims=0)
        if self.pool == "ReduceMean-last":
            tensor = self._add("Transpose", tensor, perm=[0, 2, 3, 1])
            return self._add("ReduceMean", tensor, name="pool", axes=[1, 2], keepdims=1)
        if self.pool == "AveragePool":
            return self._add("AveragePool", tensor, name="pool", kernel_shape=list(self.size))
        if self.pool == "AveragePool-part":
            return self._add("AveragePool", tensor, name="pool", kernel_shape=[2, 2])
        return self._add(self.pool, tensor, name="pool")

    def _head(self, tensor: str) -> str:
        if self.head == "Conv":
            self.constants |= {"w": self.weights[:, :, None, None], "b": self.bias}
            tensor = self._add("Conv", tensor, "w", "b", name="classify")
            return self._add("Flatten", tensor, name="flatten")
        if self.head == "none":
            return self._add("Flatten", tensor, name="flatten")
        tensor = self._add("Flatten", tensor, name="flatten")
        if self.head == "MatMul":
            self.constants |= {"w": self.weights.T.copy(), "b": self.bias}
            return self._add("Add", self._add("MatMul", tensor, "w", name="classify"), "b")
        transposed = self.head == "Gemm"
        self.constants |= {
            "w": self.weights if transposed else self.weights.T.copy(), "b": self.bias
        }  # fmt: skip
        return self._add("Gemm", tensor, "w", "b", name="classify", transB=int(transposed))


def four_animals(path: Path) -> Path:
    """A tagged network with four named classes; one name contains a comma."""
    labels = ["cat", "dog, hound", "emu", "fox"]
    said = {"mean": [0, 0, 0], "std": [1, 1, 1], "labels": labels}
    return ConvNet(metadata={"rsparse.input": json.dumps(said)}).save(path)


def images_of(size: tuple[int, int], n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(n)]


def outside_weights(path: Path, location: str) -> Path:
    """A classifier that refers to external weights at ``location``."""
    model = onnx.load(ConvNet().save(path))
    tensor = next(entry for entry in model.graph.initializer if entry.name == "w")
    onnx.external_data_helper.set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    return path


def quantised(path: Path) -> Path:
    """Write a network that averages each colour channel, quantised to 8 bits (QDQ)."""
    pixels = {"scale": np.array(1 / 255, np.float32), "zero": np.array(0, np.uint8)}
    weights = {
        "w8": (64 * np.eye(3, dtype=np.int8)),
        "w.scale": np.array(1 / 64, np.float32),
        "w.zero": np.array(0, np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["x"]),
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("DequantizeLinear", ["w8", "w.scale", "w.zero"], ["w"]),
        helper.make_node("MatMul", ["f", "w"], ["scores"]),
    ]
    return save_graph(path, nodes, pixels | weights, ("n", 3, 8, 8), ("n", 3))


def without_stored_weights(path: Path, node: str) -> onnx.ModelProto:
    model = onnx.load(ConvNet().save(path))
    for tensor in model.graph.initializer:
        for made in reversed(made_by(node, tensor.name, numpy_helper.to_array(tensor))):
            model.graph.node.insert(0, made)
    del model.graph.initializer[:]
    path.write_bytes(model.SerializeToString())
    return model


def made_by(node: str, name: str, array: np.ndarray) -> list[onnx.NodeProto]:
    """Nodes that compute a tensor instead of storing it."""
    value = numpy_helper.from_array(array, f"{name}.value")
    stored = helper.make_node("Constant", [], [f"{name}.stored"], value=value)
    if node == "Constant":
        return [helper.make_node("Constant", [], [name], value=value)]
    if node == "Identity":
        return [stored, helper.make_node("Identity", [f"{name}.stored"], [name])]
    if node == "Transpose":
        order = list(range(array.ndim))[::-1]
        turned = numpy_helper.from_array(np.ascontiguousarray(array.T), f"{name}.value")
        stored = helper.make_node("Constant", [], [f"{name}.stored"], value=turned)
        return [stored, helper.make_node("Transpose", [f"{name}.stored"], [name], perm=order)]
    shape = numpy_helper.from_array(np.array(array.shape), f"{name}.shape.value")
    fill = numpy_helper.from_array(np.array([2], array.dtype), f"{name}.fill")
    half = numpy_helper.from_array((array / 2).astype(array.dtype), f"{name}.half.value")
    return [
        helper.make_node("Constant", [], [f"{name}.shape"], value=shape),
        helper.make_node("ConstantOfShape", [f"{name}.shape"], [f"{name}.two"], value=fill),
        helper.make_node("Constant", [], [f"{name}.half"], value=half),
        helper.make_node("Mul", [f"{name}.two", f"{name}.half"], [name]),
    ]
