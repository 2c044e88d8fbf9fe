"""Compute the tensors of a graph that do not depend on its input, such as weights from nodes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from rsparse.models.onnx.session import open_runtime
from rsparse.models.onnx.shapes import inferred_shapes

LARGEST = 2**25
"""Numbers up to which a tensor is computed: 128 MB."""

Arrays = dict[str, NDArray[Any]]


def computed(model: onnx.ModelProto, node: onnx.NodeProto, inputs: Mapping[str, Any]) -> Arrays:
    """The outputs of a node for known inputs, by name.

    Empty if an output is too large or of an unknown size, or if onnxruntime cannot compute it.
    """
    names = [name for name in node.output if name]
    part = onnx.ModelProto(ir_version=model.ir_version)
    part.opset_import.extend(model.opset_import)
    part.functions.extend(model.functions)
    part.graph.name = "constant"
    part.graph.node.append(node)
    for name, value in inputs.items():
        part.graph.initializer.append(numpy_helper.from_array(value, name))
    part.graph.output.extend(helper.make_value_info(name, onnx.TypeProto()) for name in names)
    shapes = inferred_shapes(part)
    for name in names:
        sides = shapes.get(name)
        if sides is None or not all(isinstance(side, int) for side in sides):
            return {}
        if math.prod(side for side in sides if isinstance(side, int)) > LARGEST:
            return {}
    try:
        values = open_runtime(part, "a constant").run(names, {})
    except Exception:  # onnxruntime raises its own types
        return {}
    return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}
