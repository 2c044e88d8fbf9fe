"""Compute graphs of half precision in float32.

onnxruntime has few operators in half precision on a CPU, and none in bfloat16; gradients in half
precision vanish where they are small. The weights keep the values that the file stores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from rsparse.models.onnx.file import OnnxFile
from rsparse.models.onnx.ports import Port

HALF = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
_TYPES = ("to", "dtype", "output_dtype", "stash_type")
"""Attributes that hold a number type."""


def is_half(model: onnx.ModelProto) -> bool:
    """Whether a graph computes in half precision somewhere."""
    return any(True for graph in _graphs(model.graph) for _ in _half_parts(graph)) or any(
        _is_half_attribute(entry)
        for function in model.functions
        for node in function.node
        for entry in node.attribute
    )


def use_float32(model: onnx.ModelProto) -> None:
    """Turn the half-precision numbers and types of a model into float32."""
    for graph in _graphs(model.graph):
        for part in list(_half_parts(graph)):
            _widen(part)
    for function in model.functions:
        for node in function.node:
            for entry in filter(_is_half_attribute, node.attribute):
                _widen(entry)


def in_float32(file: OnnxFile) -> OnnxFile:
    """The same model with numbers of half precision as float32; ``sha256`` is that of the file."""
    if not is_half(file.model):
        return file
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    use_float32(model)
    graph = model.graph
    return replace(
        file,
        model=model,
        input=replace(file.input, kind="float"),
        outputs=tuple(map(Port.of, graph.output)),
    )


Part = onnx.ValueInfoProto | onnx.TensorProto | onnx.AttributeProto


def _half_parts(graph: onnx.GraphProto) -> Iterator[Part]:
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type in HALF:
            yield value
    for tensor in (*graph.initializer, *(each.values for each in graph.sparse_initializer)):
        if tensor.data_type in HALF:
            yield tensor
    for node in graph.node:
        yield from filter(_is_half_attribute, node.attribute)


def _is_half_attribute(entry: onnx.AttributeProto) -> bool:
    is_type = entry.name in _TYPES and entry.type == onnx.AttributeProto.INT and entry.i in HALF
    tensors = (entry.t, *entry.tensors, entry.sparse_tensor.values)
    return is_type or any(tensor.data_type in HALF for tensor in tensors)


def _widen(part: Part) -> None:
    if isinstance(part, onnx.ValueInfoProto):
        part.type.tensor_type.elem_type = TensorProto.FLOAT
    elif isinstance(part, onnx.TensorProto):
        part.CopyFrom(numpy_helper.from_array(as_float32(part), part.name))
    elif part.type == onnx.AttributeProto.INT:
        part.i = TensorProto.FLOAT
    else:
        for tensor in (part.t, *part.tensors, part.sparse_tensor.values):
            if tensor.data_type in HALF:
                _widen(tensor)


def as_float32(tensor: onnx.TensorProto) -> np.ndarray:
    """The numbers of a tensor of any precision."""
    return np.ascontiguousarray(numpy_helper.to_array(tensor).astype(np.float32))


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and the graphs inside its nodes."""
    yield graph
    for node in graph.node:
        for entry in node.attribute:
            inner = [entry.g] if entry.HasField("g") else []
            for each in (*inner, *entry.graphs):
                yield from _graphs(each)
