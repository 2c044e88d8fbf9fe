"""Compute graphs of half or double precision in float32.

onnxruntime has few operators in half precision on a CPU, and none in bfloat16; gradients in half
precision vanish where they are small. The weights keep the values that the file stores, those of
double precision rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from rsparse.models.onnx.file import OnnxFile
from rsparse.models.onnx.ports import FLOATS, Port

HALF, DOUBLE = "half", "double"
_HALVES = frozenset((TensorProto.FLOAT16, TensorProto.BFLOAT16))
_KINDS = {HALF: _HALVES, DOUBLE: _HALVES | {TensorProto.DOUBLE}}
"""The number types that become float32. A graph of float32 may compute sizes in doubles."""

_TYPES = ("to", "dtype", "output_dtype", "stash_type")
"""Attributes that hold a number type."""


def other_precision(model: onnx.ModelProto) -> str | None:
    """``double`` if a graph takes or gives doubles, ``half`` if it computes in half precision."""
    ports = (*model.graph.input, *model.graph.output)
    if any(value.type.tensor_type.elem_type == TensorProto.DOUBLE for value in ports):
        return DOUBLE
    return HALF if any(True for _ in _parts(model, _HALVES)) else None


def use_float32(model: onnx.ModelProto, precision: str) -> None:
    """Turn the numbers and types of another precision into float32."""
    for part in list(_parts(model, _KINDS[precision])):
        _widen(part, _KINDS[precision])


def in_float32(file: OnnxFile) -> OnnxFile:
    """The same model with numbers of other precision as float32; ``sha256`` is the file's."""
    precision = other_precision(file.model)
    if precision is None:
        return file
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    use_float32(model, precision)
    graph = model.graph
    is_float = file.input.kind in FLOATS
    return replace(
        file,
        model=model,
        input=replace(file.input, kind="float") if is_float else file.input,
        outputs=tuple(map(Port.of, graph.output)),
    )


Part = onnx.ValueInfoProto | onnx.TensorProto | onnx.AttributeProto


def _parts(model: onnx.ModelProto, kinds: frozenset[int]) -> Iterator[Part]:
    """What has one of some number types in a model: ports, tensors, attributes."""
    for graph in _graphs(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type in kinds:
                yield value
        for tensor in (*graph.initializer, *(each.values for each in graph.sparse_initializer)):
            if tensor.data_type in kinds:
                yield tensor
        yield from _attributes(graph.node, kinds)
    for function in model.functions:
        yield from _attributes(function.node, kinds)


def _attributes(nodes: Iterable[onnx.NodeProto], kinds: frozenset[int]) -> Iterator[Part]:
    for node in nodes:
        for entry in node.attribute:
            is_type = entry.name in _TYPES and entry.type == onnx.AttributeProto.INT
            tensors = (entry.t, *entry.tensors, entry.sparse_tensor.values)
            if (is_type and entry.i in kinds) or any(each.data_type in kinds for each in tensors):
                yield entry


def _widen(part: Part, kinds: frozenset[int]) -> None:
    if isinstance(part, onnx.ValueInfoProto):
        part.type.tensor_type.elem_type = TensorProto.FLOAT
    elif isinstance(part, onnx.TensorProto):
        part.CopyFrom(numpy_helper.from_array(as_float32(part), part.name))
    elif part.type == onnx.AttributeProto.INT:
        part.i = TensorProto.FLOAT
    else:
        for tensor in (part.t, *part.tensors, part.sparse_tensor.values):
            if tensor.data_type in kinds:
                _widen(tensor, kinds)


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
