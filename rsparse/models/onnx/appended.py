"""Append operators to a graph that bring its outputs into the form of logits."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rsparse.models.fields import SIGMOIDS

SMALLEST_PROBABILITY = 1e-37
"""Added to probabilities before their logarithm: a normal float32 number."""


def append_two_classes(model: onnx.ModelProto) -> None:
    """Append the logits (0, z) of two classes, whose softmax is (1 − p, p) for p = sigmoid(z)."""
    zero = helper.make_node("Sub", ["", ""], ["rsparse.zero"])
    append(
        model, [zero, helper.make_node("Concat", ["rsparse.zero", ""], ["rsparse.classes"], axis=1)]
    )


def append_logits(model: onnx.ModelProto, kind: str) -> None:
    """Append what makes logits of probabilities p: log p, or log p − log(1 − p) for sigmoids."""
    one, smallest = (np.array(x, np.float32) for x in (1, SMALLEST_PROBABILITY))
    model.graph.initializer.append(numpy_helper.from_array(smallest, "rsparse.smallest"))
    nodes = _logarithm("", "rsparse.logarithm")
    if kind == SIGMOIDS:
        model.graph.initializer.append(numpy_helper.from_array(one, "rsparse.one"))
        nodes += [
            helper.make_node("Sub", ["rsparse.one", ""], ["rsparse.other"]),
            *_logarithm("rsparse.other", "rsparse.other_logarithm"),
            helper.make_node(
                "Sub", ["rsparse.logarithm", "rsparse.other_logarithm"], ["rsparse.logits"]
            ),
        ]
    append(model, nodes)


def _logarithm(tensor: str, name: str) -> list[onnx.NodeProto]:
    """The logarithm of probabilities, which rounding may have put below 0."""
    return [
        helper.make_node("Relu", [tensor], [f"{name}.share"]),
        helper.make_node("Add", [f"{name}.share", "rsparse.smallest"], [f"{name}.positive"]),
        helper.make_node("Log", [f"{name}.positive"], [name]),
    ]


def append(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Append nodes that make a new output; ``""`` among their inputs stands for the old one."""
    (old,) = model.graph.output
    for node in nodes:
        node.name = node.output[0]
        node.input[:] = [name or old.name for name in node.input]
    model.graph.node.extend(nodes)
    made = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    old.CopyFrom(made)
