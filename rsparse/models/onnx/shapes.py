"""Infer the shapes of a graph's tensors, without its weights, so that it takes little time."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx
import onnx.shape_inference
from onnx import helper

Sides = tuple[int | str | None, ...]
"""A shape: a number, a name, or ``None`` for each side."""

SMALL = 4096
"""Numbers of a stored tensor up to which it may be a shape, on which other shapes depend."""


def inferred_shapes(
    model: onnx.ModelProto, given: Mapping[str, Sides] | None = None, *, strict: bool = False
) -> dict[str, Sides]:
    """The shapes of all tensors whose shape can be inferred, by name.

    Parameters
    ----------
    model : onnx.ModelProto
    given : mapping of str to shape, optional
        Shapes of inputs that replace the declared ones. Declared shapes of all other tensors are
        then ignored, since they may contradict it.
    strict : bool
        Infer no shape at all if those of a node's inputs contradict each other.
    """
    lean = _without_weights(model)
    for value in lean.graph.input:
        if given and value.name in given:
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(helper.make_tensor_value_info(value.name, kind, given[value.name]))
    if given:
        del lean.graph.value_info[:]
        for value in lean.graph.output:
            value.type.tensor_type.ClearField("shape")
    try:
        graph = onnx.shape_inference.infer_shapes(lean, strict_mode=strict, data_prop=True).graph
    except Exception:  # of several types, if a graph's shapes contradict each other
        return {}
    values = (*graph.value_info, *graph.input, *graph.output)
    return {
        value.name: sides_of(value) for value in values if value.type.tensor_type.HasField("shape")
    }


def sides_of(value: onnx.ValueInfoProto) -> Sides:
    """The declared shape of a tensor; unknown sides are ``None``."""
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
        for dim in value.type.tensor_type.shape.dim
    )


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large stored tensors are inputs instead."""
    lean = onnx.ModelProto(ir_version=model.ir_version)
    lean.opset_import.extend(model.opset_import)
    lean.functions.extend(model.functions)
    graph = model.graph
    lean.graph.name = "shapes"
    lean.graph.node.extend(graph.node)
    lean.graph.input.extend(graph.input)
    lean.graph.output.extend(graph.output)
    lean.graph.value_info.extend(graph.value_info)
    listed = {value.name for value in graph.input}
    sparse = [(each.values, each.dims) for each in graph.sparse_initializer]
    for tensor, dims in [*((each, each.dims) for each in graph.initializer), *sparse]:
        if math.prod(dims) <= SMALL and tensor.dims == dims:
            lean.graph.initializer.append(tensor)
        elif tensor.name not in listed:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, dims)
            lean.graph.input.append(value)
    return lean
