"""Index an ONNX graph: which node makes a tensor, which nodes use it, what is constant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from rsparse.models.onnx.constants import computed
from rsparse.models.onnx.pruning import names_read, needed_nodes
from rsparse.models.onnx.shapes import Sides, inferred_shapes

RANDOM = frozenset(
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial",
     "Bernoulli")
)  # fmt: skip


MAX_NODES = 1000
"""Nodes up to which a constant is computed."""

OWN = "rsparse."
"""How the names of nodes begin that are not the file's."""


class Wiring:
    """An index of a graph's nodes and constants.

    A constant is a tensor that does not depend on the graph's input: a stored tensor, the tensor
    of a ``Constant`` node, or what other nodes make of constants.

    Parameters
    ----------
    graph : onnx.GraphProto
    model : onnx.ModelProto, optional
        The graph's model. Without it, constants that nodes compute have no known value.

    Attributes
    ----------
    producer : dict
        The node that makes each tensor.
    consumers : dict
        The nodes that use each tensor.
    """

    def __init__(self, graph: onnx.GraphProto, model: onnx.ModelProto | None = None) -> None:
        self.graph = graph
        self.producer = {name: node for node in graph.node for name in node.output if name}
        self.consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self.consumers[name].append(node)
        self._model = model
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._computed = _computed_tensors(graph, self._stored)
        self._constants: dict[str, NDArray[Any] | None] = {}
        self._shapes: dict[str, Sides] | None = None

    def is_constant(self, name: str) -> bool:
        """Whether a tensor does not depend on the graph's input."""
        return bool(name) and name not in self._computed

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a constant; ``None`` if the tensor depends on the input or is too large."""
        if not self.is_constant(name):
            return None
        if name not in self._constants and name in self._stored:
            self._constants[name] = numpy_helper.to_array(self._stored[name])
        if name not in self._constants:
            nodes, _ = needed_nodes(self.graph, [name])
            for node in nodes[:MAX_NODES]:
                self._compute(node)
        return self._constants.get(name)

    def constant_dims(self, name: str) -> tuple[int, ...] | None:
        """The sizes of a constant, like ``constant``, without a copy of a stored tensor."""
        if name in self._stored:
            return tuple(self._stored[name].dims)
        value = self.constant(name)
        return None if value is None else value.shape

    def _compute(self, node: onnx.NodeProto) -> None:
        """Add the outputs of a node of constants to the known values, if they can be known."""
        if node.output[0] in self._constants:
            return
        self._constants |= dict.fromkeys(node.output)
        if node.op_type == "Constant":
            self._constants[node.output[0]] = constant_of(node)
            return
        names = {name for name in names_read(node) if name in self.producer or name in self._stored}
        inputs = {name: self.constant(name) for name in names}
        if node.op_type == "Identity":
            self._constants[node.output[0]] = inputs.get(node.input[0])
        elif self._model is not None and not any(value is None for value in inputs.values()):
            self._constants |= computed(self._model, node, inputs)

    def computed_inputs(self, node: onnx.NodeProto) -> list[str]:
        """The inputs of a node that depend on the graph's input."""
        return [name for name in node.input if name in self._computed]

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
            self._shapes = inferred_shapes(model)
        sides = self._shapes.get(name)
        if sides is None:
            return None
        return tuple(side if isinstance(side, int) else None for side in sides)


def _computed_tensors(graph: onnx.GraphProto, stored: Iterable[str]) -> set[str]:
    """The tensors that depend on the graph's input, or on random numbers."""
    known = set(stored) | {sparse.values.name for sparse in graph.sparse_initializer}
    computed = {value.name for value in graph.input} - known
    for node in graph.node:
        if node.op_type in RANDOM or any(name in computed for name in names_read(node)):
            computed |= {name for name in node.output if name}
    return computed


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """The value of a node's attribute."""
    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default


def constant_of(node: onnx.NodeProto) -> NDArray[Any] | None:
    """The tensor of a ``Constant`` node, which has one of several attributes."""
    for entry in node.attribute:
        value = helper.get_attribute_value(entry)
        if isinstance(value, onnx.TensorProto):
            return numpy_helper.to_array(value)
        if entry.name in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
        if entry.name in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
    return None


def node_name(node: onnx.NodeProto) -> str:
    """The name of a node, or of its first output if the node has no name."""
    return node.name or node.output[0]


def node_text(node: onnx.NodeProto | None) -> str:
    """A node in a message: its operator and its name."""
    return "the input" if node is None else f"{node.op_type} {node_name(node)!r}"


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


def as_numbers(value: NDArray[Any] | None) -> NDArray[np.float32] | None:
    """Convert a stored tensor to float32."""
    return None if value is None else np.asarray(value, np.float32)
