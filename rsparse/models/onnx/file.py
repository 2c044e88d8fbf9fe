"""Read ONNX files and check them before anything runs them."""

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
from rsparse.models.onnx.ports import COLOURS, GREY, INTEGERS, Dims, Port, image_input
from rsparse.models.onnx.provenance import file_content
from rsparse.store.files import read_bytes


@dataclass(frozen=True)
class OnnxFile:
    """An image classifier in an ONNX file, checked, with its weights in memory.

    Attributes
    ----------
    path : Path
    model : onnx.ModelProto
        The graph as stored in the file, with external weights read in.
    sha256 : str
        Of the file, followed by its external weight files sorted by name.
    input : Port
        The image that the graph takes.
    outputs : tuple of Port
    metadata : dict
        The key-value pairs stored in the file.
    in_memory : bool
        There is no file: ``path`` is a name for messages and records.
    """

    path: Path
    model: onnx.ModelProto
    sha256: str
    input: Port
    outputs: tuple[Port, ...]
    metadata: dict[str, str]
    in_memory: bool = False

    @property
    def input_dims(self) -> Dims:
        """The four sizes of the input, ``None`` for each that the graph leaves open."""
        assert self.input.dims is not None  # ``image_input`` has checked it
        return self.input.dims

    def with_metadata(self, entries: Mapping[str, str]) -> bytes:
        """The content of a file of the same model, weights included, with additional metadata.

        It ends with its own checksum.

        Raises
        ------
        InputError
            If it is too large for a single file.
        """
        try:
            return file_content(self.model, {**self.metadata, **entries})
        except ValueError as error:  # protobuf's limit of 2 GB
            raise InputError(f"{self.path}: is too large for a single file") from error

    def fixed_input(self, layout: str | None = None) -> dict[str, Any]:
        """The layout, size and channels of the input, as far as the graph fixes them.

        ``layout`` is used if the graph leaves it open. ``channels`` is fixed for grey images only.
        """
        fixed: dict[str, Any] = {}
        first, last = self.input_dims[1], self.input_dims[3]
        for number in (COLOURS, GREY):
            if (first == number) != (last == number):
                fixed["layout"] = "NCHW" if first == number else "NHWC"
                break
        layout = fixed.get("layout", layout or "NCHW")
        height, width = self.input_dims[2:4] if layout == "NCHW" else self.input_dims[1:3]
        if height is not None and width is not None:
            fixed["size"] = (height, width)
        if self.n_channels(layout) == GREY:
            fixed["channels"] = "grey"
        return fixed

    @property
    def fixed_scaling(self) -> dict[str, Any]:
        """``range``, ``mean`` and ``std`` of an input of whole numbers: its pixels, from 0 to 255.

        They are from −128 to 127 for int8.
        """
        if self.input.kind not in INTEGERS:
            return {}
        black = 128.0 if self.input.kind == "int8" else 0.0
        return {"range": 255.0, "mean": (black,) * 3, "std": (1.0,) * 3}

    def n_channels(self, layout: str | None = None) -> int | None:
        """The number of channels of the input, ``None`` if the graph leaves it open."""
        return self.input_dims[3 if layout == "NHWC" else 1]


def load_onnx(path: Path) -> OnnxFile:
    """Read an ONNX file and check that it is an image classifier.

    External weights are read only from regular files inside the model's own folder.

    Raises
    ------
    InputError
        If the file cannot be read, is not an ONNX model, has external weights outside its folder,
        or takes anything but one image.
    """
    return read_onnx(read_bytes(path), path)


def read_onnx(content: bytes, path: Path) -> OnnxFile:
    """``load_onnx`` for the content of a file that is, or will be, at ``path``."""
    digest = hashlib.sha256(content)
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise InputError(f"{path}: is not an ONNX model, or is truncated") from error
    if not model.graph.node or not model.graph.output:
        raise InputError(f"{path}: is not an ONNX model, or is truncated")
    del model.training_info[:]  # never run, and not checked below
    for content in _read_external_weights(model, path):
        digest.update(content)
    _check_wholeness(model, path)
    taken = image_input(model.graph, path)
    outputs = tuple(map(Port.of, model.graph.output))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return OnnxFile(path, model, digest.hexdigest(), taken, outputs, metadata)


def _read_external_weights(model: onnx.ModelProto, path: Path) -> list[bytes]:
    """Read external weights into the model; return the content of their files, sorted by name."""
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
            numpy_helper.to_array(tensor)  # fails if size and shape disagree
        except Exception as error:  # onnx raises several kinds on hostile offsets and lengths
            raise InputError(
                f"{path}: the external weights {tensor.name!r} cannot be read"
            ) from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    return contents


def _check_wholeness(model: onnx.ModelProto, path: Path) -> None:
    """Check what reading the graph relies on: complete weights, and complete nodes in order.

    ONNX requires this of every file; only damaged or hostile files violate it.
    """
    versions = {entry.domain: entry.version for entry in model.opset_import}
    for tensor in _tensors(model):
        try:
            if tensor.ByteSize():  # other attributes than tensors have an empty one
                numpy_helper.to_array(tensor)
                tensor.name.encode()  # bytes where not UTF-8
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
        if not are_texts or not ordered or len(node.input) < _min_inputs(node, versions):
            raise InputError(f"{path}: is damaged: node {node.name!r} ({node.op_type})")
        known |= makes
    ports = (*model.graph.input, *model.graph.output)
    if not all(isinstance(value.name, str) for value in ports):
        raise InputError(f"{path}: is damaged: the name of an input or output is not UTF-8")
    if any(value.name not in known for value in model.graph.output):
        raise InputError(f"{path}: is damaged: no node makes its output")


def _min_inputs(node: onnx.NodeProto, versions: dict[str, int]) -> int:
    """The number of inputs that the node's operator requires; 0 for unknown operators."""
    try:
        newest = versions.get(node.domain, 1)
        return int(onnx.defs.get_schema(node.op_type, newest, node.domain).min_input)
    except onnx.defs.SchemaError:
        return 0  # onnxruntime reports it if it does not know it either


def _weight_file(path: Path, location: str) -> Path:
    folder = path.parent.resolve()
    file = folder / location
    unsafe = not location or "\0" in location or "\\" in location
    if unsafe or Path(location).is_absolute() or ".." in Path(location).parts:
        raise InputError(f"{path}: has external weights outside its own folder: {location!r}")
    if not file.resolve().is_relative_to(folder):
        raise InputError(
            f"{path}: has external weights outside its own folder: {location!r} is a link"
        )
    if not file.is_file():
        raise InputError(f"{path}: its external weights {location!r} are missing")
    return file


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor stored in a model: initializers, and tensors in nodes at any depth."""
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
