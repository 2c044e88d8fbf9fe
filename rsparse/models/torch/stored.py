"""Read what an ONNX graph stores: tensors, constants and attributes, as torch takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnx.defs
import torch
from onnx import helper, numpy_helper

Tensor = torch.Tensor


def stored_tensors(graph: onnx.GraphProto) -> Iterator[tuple[str, Tensor]]:
    """The tensors that a graph stores, by name."""
    for tensor in graph.initializer:
        yield tensor.name, as_torch(tensor)
    for sparse in graph.sparse_initializer:
        yield sparse.values.name, _dense(sparse)


def constant_tensor(node: onnx.NodeProto) -> Tensor:
    """The tensor of a Constant node."""
    (attribute,) = node.attribute
    value = helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return as_torch(value)
    if isinstance(value, onnx.SparseTensorProto):
        return _dense(value)
    if attribute.name not in ("value_float", "value_floats", "value_int", "value_ints"):
        raise NotImplementedError("text")
    return torch.tensor(value, dtype=torch.float32 if "float" in attribute.name else torch.int64)


def as_torch(tensor: onnx.TensorProto) -> Tensor:
    """A stored tensor in torch; integers of 4 and 2 bits become 8 bits wide."""
    if tensor.data_type == onnx.TensorProto.STRING:
        raise NotImplementedError("text")
    array = numpy_helper.to_array(tensor)
    if tensor.data_type == onnx.TensorProto.BFLOAT16:
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    if array.dtype.kind not in "fiub" or array.dtype.isbuiltin != 1:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        if "int" not in kind:
            raise NotImplementedError(f"numbers of type {kind}")
        array = array.astype(np.int8)
    return torch.from_numpy(array.copy())


def _dense(sparse: onnx.SparseTensorProto) -> Tensor:
    values, places = as_torch(sparse.values), as_torch(sparse.indices)
    whole = torch.zeros(tuple(sparse.dims), dtype=values.dtype)
    if places.dim() == 1:
        whole.view(-1)[places] = values
    else:
        whole[tuple(places.T)] = values
    return whole


def attribute_value(attribute: onnx.AttributeProto) -> Any:
    """An attribute as a number, text, a tuple of them, or a tensor's number and its type."""
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        tensor = as_torch(value)
        return tensor.reshape(-1)[0].item(), tensor.dtype
    if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        raise NotImplementedError("a graph within the graph")
    return tuple(value) if hasattr(value, "__iter__") and not isinstance(value, str) else value


def is_default(node: onnx.NodeProto, name: str, opset: int) -> bool:
    """Whether an attribute has the value that it would have if it were not written."""
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
        default = schema.attributes[name].default_value
    except (onnx.defs.SchemaError, KeyError):
        return False
    given = next(entry for entry in node.attribute if entry.name == name)
    return bool(default.name) and bool(attribute_value(given) == attribute_value(default))
