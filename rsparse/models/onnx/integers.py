"""Let a graph whose image is whole numbers, such as uint8, take floats."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rsparse.models.onnx.pruning import names_read
from rsparse.models.onnx.wiring import OWN, attribute

_MOVING = frozenset(
    ("Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split",
     "Gather", "Expand")
)  # fmt: skip
"""Operators that take numbers of any type as their first input, and only move them."""

_UNTYPED = frozenset(("Shape", "Size"))
_FLOATS = (
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE
)  # fmt: skip


def take_floats(model: onnx.ModelProto, input_name: str) -> None:
    """Change the image's type to float32.

    Where the graph turns the whole numbers into floats, it gets the floats as they are, so that
    gradients reach the image; an image of 8 bits gives the same result. Operators on whole numbers
    get the nearest ones, and their results are those of the file. A ``DequantizeLinear`` is
    written out as the difference and the product that it stands for.
    """
    (image,) = (value for value in model.graph.input if value.name == input_name)
    kinds = {input_name: image.type.tensor_type.elem_type}
    image.type.tensor_type.elem_type = TensorProto.FLOAT
    del model.graph.value_info[:]
    nodes: list[onnx.NodeProto] = []
    rounded: dict[str, str] = {}
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if _is_one_scale(node, stored) and node.input[0] in kinds:
            nodes += _scaling(node)
            continue
        if node.op_type in _MOVING and node.input[0] in kinds:
            kinds |= dict.fromkeys(node.output, kinds[node.input[0]])
        elif not (node.op_type in _UNTYPED or _is_float_cast(node)):
            for name in kinds.keys() & set(names_read(node)):
                if name not in rounded:
                    rounded[name] = f"{OWN}{name}.whole"
                    nodes += _rounding(name, rounded[name], kinds[name])
            node.input[:] = [rounded.get(name, name) for name in node.input]
        nodes.append(node)
    half = numpy_helper.from_array(np.array(0.5, np.float32), f"{OWN}half")
    changed = onnx.GraphProto(node=nodes, initializer=[half] if rounded else [])
    del model.graph.node[:]
    model.graph.node.extend(changed.node)
    model.graph.initializer.extend(changed.initializer)


def _is_one_scale(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a node turns whole numbers into float32 by one stored scale for all."""
    scale = stored.get(node.input[1]) if node.op_type == "DequantizeLinear" else None
    is_one = scale is not None and math.prod(scale.dims) == 1
    return is_one and scale is not None and scale.data_type == TensorProto.FLOAT


def _scaling(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The nodes that subtract the zero point, if any, and multiply by the scale."""
    image, scale, *zero = node.input
    made = node.output[0]
    nodes = []
    if zero and zero[0]:
        nodes = [
            helper.make_node("Cast", zero, [f"{OWN}{made}.zero"], to=TensorProto.FLOAT),
            helper.make_node("Sub", [image, f"{OWN}{made}.zero"], [f"{OWN}{made}.shifted"]),
        ]
        image = f"{OWN}{made}.shifted"
    return [*nodes, helper.make_node("Mul", [image, scale], [made], name=node.name)]


def _is_float_cast(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and attribute(node, "to") in _FLOATS


def _rounding(name: str, whole: str, kind: int) -> list[onnx.NodeProto]:
    """The nodes that make the nearest whole numbers of a type."""
    nodes = [
        helper.make_node("Add", [name, f"{OWN}half"], [f"{whole}.raised"]),
        helper.make_node("Floor", [f"{whole}.raised"], [f"{whole}.float"]),
        helper.make_node("Cast", [f"{whole}.float"], [whole], to=kind),
    ]
    for node in nodes:
        node.name = node.output[0]
    return nodes
