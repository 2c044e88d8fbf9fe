"""Index an ONNX graph: which node makes a tensor, which nodes use it, what is constant."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import onnx
import onnx.shape_inference
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class Wiring:
    """An index of a graph's nodes and constants.

    Attributes
    ----------
    producer : dict
        The node that makes each tensor.
    consumers : dict
        The nodes that use each tensor.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.producer = {name: node for node in graph.node for name in node.output if name}
        self.consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self.consumers[name].append(node)
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._shapes: dict[str, tuple[int | None, ...]] | None = None

    def stored(self, name: str) -> onnx.TensorProto | None:
        """The tensor stored in the graph under a name; ``None`` if it is computed."""
        if name in self._stored:
            return self._stored[name]
        node = self.producer.get(name)
        if node is not None and node.op_type == "Identity":
            return self.stored(node.input[0])
        value = attribute(node, "value") if node is not None else None
        return value if isinstance(value, onnx.TensorProto) else None

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a stored tensor; ``None`` if it is computed."""
        tensor = self.stored(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def computed_inputs(self, node: onnx.NodeProto) -> list[str]:
        """The inputs of a node that are not stored in the graph."""
        return [name for name in node.input if name and self.stored(name) is None]

    def list_argument(self, node: onnx.NodeProto, name: str, position: int) -> list[int] | None:
        """A list of numbers; older opsets store it as an attribute, newer ones as an input."""
        value = attribute(node, name)
        if value is not None:
            return [int(number) for number in value]
        if len(node.input) <= position or not node.input[position]:
            return None
        numbers = self.constant(node.input[position])
        return None if numbers is None else [int(number) for number in numbers.reshape(-1)]

    def shape(self, model: onnx.ModelProto, name: str) -> tuple[int | None, ...] | None:
        """The inferred shape of a tensor, ``None`` if nothing is known about it."""
        if self._shapes is None:
            self._shapes = _inferred_shapes(model)
        return self._shapes.get(name)


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """The value of a node's attribute."""
    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default


def node_name(node: onnx.NodeProto) -> str:
    """The name of a node, or of its first output if the node has no name."""
    return node.name or node.output[0]


def copy_with_outputs(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], outputs: list[str]
) -> onnx.ModelProto:
    """Return the model with ``nodes`` appended, and ``outputs`` after its own outputs."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    changed.graph.node.extend(nodes)
    for name in outputs:
        kind = onnx.TensorProto.FLOAT
        changed.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    return changed


def _inferred_shapes(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # of several types, if a graph's shapes contradict each other
        return {}
    return {
        value.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else None
            for dim in value.type.tensor_type.shape.dim
        )
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
        if value.type.tensor_type.HasField("shape")
    }


def as_numbers(value: NDArray[Any] | None) -> NDArray[np.float32] | None:
    """Convert a stored tensor to float32."""
    return None if value is None else np.asarray(value, np.float32)
