"""Compute the tensors of a graph that do not depend on its input, such as weights from nodes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from rsparse.models.onnx.pruning import needed_nodes
from rsparse.models.onnx.session import open_runtime
from rsparse.models.onnx.shapes import inferred_shapes

LARGEST = 2**25
"""Numbers up to which a tensor is computed: 128 MB."""


def evaluated(model: onnx.ModelProto, name: str) -> NDArray[Any] | None:
    """The value of a tensor that does not depend on the model's input.

    ``None`` if it, or a tensor that it is made of, is too large or of an unknown size, or if
    onnxruntime cannot compute it.
    """
    part = _part_that_makes(model, name)
    shapes = inferred_shapes(part)
    made = [output for node in part.graph.node for output in node.output if output]
    for tensor in made:
        sides = shapes.get(tensor)
        if sides is None or not all(isinstance(side, int) for side in sides):
            return None
        if math.prod(side for side in sides if isinstance(side, int)) > LARGEST:
            return None
    try:
        (value,) = open_runtime(part, "a constant").run([name], {})
    except Exception:  # onnxruntime raises its own types
        return None
    return np.asarray(value)


def _part_that_makes(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model of the nodes that make a tensor, with the stored tensors that they read."""
    nodes, read = needed_nodes(model.graph, [name])
    part = onnx.ModelProto(ir_version=model.ir_version)
    part.opset_import.extend(model.opset_import)
    part.functions.extend(model.functions)
    part.graph.name = "constant"
    part.graph.node.extend(nodes)
    part.graph.initializer.extend(t for t in model.graph.initializer if t.name in read)
    sparse = (t for t in model.graph.sparse_initializer if t.values.name in read)
    part.graph.sparse_initializer.extend(sparse)
    part.graph.output.append(helper.make_value_info(name, onnx.TypeProto()))
    return part
