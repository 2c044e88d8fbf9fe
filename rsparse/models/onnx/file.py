"""Reading ONNX files: what is wrong with one is said before anything runs it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx.defs
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor

from rsparse.errors import InputError
from rsparse.store.files import read_bytes

Dims = tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxFile:
    """An image classifier in an ONNX file, checked, with its weights in memory.

    Attributes
    ----------
    path : Path
    model : onnx.ModelProto
        The graph as it is in the file; weights kept outside it have been read in.
    sha256 : str
        Of the file, followed by its external weight files in the order of their names.
    input_name, output_name : str
    input_dims : tuple
        Four sizes, ``None`` where the graph leaves one open.
    n_outputs : int or None
        Numbers a forward pass gives for an image, ``None`` where the graph leaves it open.
    metadata : dict
        The file's own key-value pairs.
    """

    path: Path
    model: onnx.ModelProto
    sha256: str
    input_name: str
    input_dims: Dims
    output_name: str
    n_outputs: int | None
    metadata: dict[str, str]

    @property
    def batch(self) -> int | None:
        """Images in one forward pass, ``None`` where the graph leaves it open."""
        return self.input_dims[0]

    def with_metadata(self, said: Mapping[str, str]) -> bytes:
        """A file of the same model that says more of itself, weights included.

        Raises
        ------
        InputError
            If it is larger than one file can be.
        """
        copy = onnx.ModelProto()
        copy.CopyFrom(self.model)
        onnx.helper.set_model_props(copy, {**self.metadata, **said})
        try:
            return bytes(copy.SerializeToString(deterministic=True))
        except ValueError as error:  # protobuf's limit of 2 GB
            raise InputError(f"{self.path}: is too large to be written as one file") from error

    def fixed_input(self, layout: str | None = None) -> dict[str, Any]:
        """The layout and the size, as far as the graph fixes them.

        ``layout`` is used where the graph leaves it open.
        """
        fixed: dict[str, Any] = {}
        if self.input_dims[1] == 3 and self.input_dims[3] != 3:
            fixed["layout"] = "NCHW"
        elif self.input_dims[3] == 3 and self.input_dims[1] != 3:
            fixed["layout"] = "NHWC"
        layout = fixed.get("layout", layout or "NCHW")
        height, width = self.input_dims[2:4] if layout == "NCHW" else self.input_dims[1:3]
        if height is not None and width is not None:
            fixed["size"] = (height, width)
        return fixed


def load_onnx(path: Path) -> OnnxFile:
    """Read an ONNX file and check that it is an image classifier.

    Weights outside the file are read only from regular files inside the file's own folder.

    Raises
    ------
    InputError
        If the file cannot be read, is no ONNX model, keeps weights outside its folder, or has
        other inputs and outputs than one float32 image and one row of class scores.
    """
    return read_onnx(read_bytes(path), path)


def read_onnx(content: bytes, path: Path) -> OnnxFile:
    """``load_onnx`` for the content of a file that lies at ``path``, or is going to."""
    digest = hashlib.sha256(content)
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise InputError(f"{path}: is not an ONNX model, or is cut off") from error
    if not model.graph.node or not model.graph.output:
        raise InputError(f"{path}: is not an ONNX model, or is cut off")
    del model.training_info[:]  # never run, and not checked below
    for content in _read_external_weights(model, path):
        digest.update(content)
    _check_wholeness(model, path)
    input_name, input_dims = _check_input(model.graph, path)
    output_name, n_outputs = _check_output(model.graph, path)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return OnnxFile(
        path, model, digest.hexdigest(), input_name, input_dims, output_name, n_outputs, metadata
    )


def _read_external_weights(model: onnx.ModelProto, path: Path) -> list[bytes]:
    """Read weights kept in other files into the model; the content of those files, by name."""
    outside = [
        tensor
        for tensor in _tensors(model)
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data
    ]
    files = {}
    for tensor in outside:  # all are checked before any is read
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        files[location] = _weight_file(path, location)
    contents = [read_bytes(files[location]) for location in sorted(files)]
    for tensor in outside:
        try:
            load_external_data_for_tensor(tensor, str(path.parent.absolute()))
            numpy_helper.to_array(tensor)  # fails where its size is not that of its shape
        except Exception as error:  # onnx raises several kinds on hostile offsets and lengths
            raise InputError(
                f"{path}: the weights {tensor.name!r} kept outside it cannot be read"
            ) from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    return contents


def _check_wholeness(model: onnx.ModelProto, path: Path) -> None:
    """Check what reading the graph relies on: weights of their size, nodes in order and complete.

    ONNX demands it of every file; only damaged or hostile ones differ.
    """
    versions = {entry.domain: entry.version for entry in model.opset_import}
    for tensor in model.graph.initializer:
        try:
            numpy_helper.to_array(tensor)
        except Exception as error:  # several kinds
            raise InputError(f"{path}: is damaged: weights {tensor.name!r}") from error
    known = {value.name for value in model.graph.input}
    known |= {tensor.name for tensor in model.graph.initializer}
    known |= {sparse.values.name for sparse in model.graph.sparse_initializer}
    for node in model.graph.node:
        words = (node.name, node.op_type, node.domain, *node.input, *node.output)
        makes, needs = set(node.output) - {""}, set(node.input) - {""}
        are_texts = all(isinstance(word, str) for word in words)  # bytes where not UTF-8
        ordered = bool(makes) and needs <= known and not makes & known
        if not are_texts or not ordered or len(node.input) < _least_inputs(node, versions):
            raise InputError(f"{path}: is damaged: node {node.name!r} ({node.op_type})")
        known |= makes
    if any(value.name not in known for value in model.graph.output):
        raise InputError(f"{path}: is damaged: nothing makes its output")


def _least_inputs(node: onnx.NodeProto, versions: dict[str, int]) -> int:
    """How many inputs the node's operator demands; 0 for unknown ones."""
    try:
        newest = versions.get(node.domain, 1)
        return int(onnx.defs.get_schema(node.op_type, newest, node.domain).min_input)
    except onnx.defs.SchemaError:
        return 0  # onnxruntime knows it, or says so


def _weight_file(path: Path, location: str) -> Path:
    folder = path.parent.resolve()
    file = folder / location
    unsafe = not location or "\0" in location or "\\" in location
    if unsafe or Path(location).is_absolute() or ".." in Path(location).parts:
        raise InputError(f"{path}: keeps weights outside its own folder: {location!r}")
    if not file.resolve().is_relative_to(folder):
        raise InputError(f"{path}: keeps weights outside its own folder: {location!r} is a link")
    if not file.is_file():
        raise InputError(f"{path}: keeps weights in {location!r}, which is not beside it")
    return file


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor stored in a model: initializers and those in nodes, at any depth."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _graph_tensors(graph)


def _check_input(graph: onnx.GraphProto, path: Path) -> tuple[str, Dims]:
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {sparse.values.name for sparse in graph.sparse_initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise InputError(f"{path}: expected one input, an image; it has {len(inputs)}: {names}")
    name = inputs[0].name
    kind, dims = _type_and_dims(inputs[0])
    if kind != "float":
        raise InputError(f"{path}: expected a float32 image as input; {name!r} is {kind}")
    if dims is None or len(dims) != 4:
        raise InputError(
            f"{path}: expected an image of 4 dimensions as input, such as 1×3×224×224; "
            f"{name!r} has {_spelled(dims)}"
        )
    if 3 not in (dims[1], dims[3]) and None not in (dims[1], dims[3]):
        raise InputError(
            f"{path}: expected an image of 3 colour channels as input; {name!r} is {_spelled(dims)}"
        )
    return name, dims


def _check_output(graph: onnx.GraphProto, path: Path) -> tuple[str, int | None]:
    if len(graph.output) != 1:
        names = ", ".join(value.name for value in graph.output)
        raise InputError(
            f"{path}: expected one output, the class scores; it has {len(graph.output)}: {names}"
        )
    name = graph.output[0].name
    kind, dims = _type_and_dims(graph.output[0])
    if kind != "float":
        raise InputError(f"{path}: expected float32 class scores as output; {name!r} is {kind}")
    if dims is not None and len(dims) != 2:
        raise InputError(
            f"{path}: expected one row of class scores for an image as output, such as 1×1000; "
            f"{name!r} has {_spelled(dims)}"
        )
    return name, None if dims is None else dims[1]


def _type_and_dims(value: onnx.ValueInfoProto) -> tuple[str, Dims | None]:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return (kind or "nothing").removesuffix("_type"), None
    tensor = value.type.tensor_type
    name = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    if not tensor.HasField("shape"):
        return name, None
    return name, tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        for dim in tensor.shape.dim
    )


def _spelled(dims: Dims | None) -> str:
    if dims is None:
        return "an unknown shape"
    return f"{len(dims)}: " + "×".join("n" if side is None else str(side) for side in dims)
