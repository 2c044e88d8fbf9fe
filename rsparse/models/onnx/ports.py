"""The image that a graph takes and the outputs that it gives, as the file declares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from rsparse.errors import InputError

Dims = tuple[int | None, ...]

FLOATS = ("float", "float16", "bfloat16")
COLOURS, GREY = 3, 1


@dataclass(frozen=True)
class Port:
    """An input or output of a graph.

    Attributes
    ----------
    name : str
    kind : str
        The type of its numbers, such as ``float``, ``float16`` or ``int64``.
    dims : tuple or None
        Its sizes, ``None`` for each that the graph leaves open, or for an unknown number of them.
    """

    name: str
    kind: str
    dims: Dims | None

    @property
    def shape(self) -> str:
        """The sizes in a message: ``n×3×224×224``."""
        if self.dims is None:
            return "unknown shape"
        return "×".join("n" if side is None else str(side) for side in self.dims) or "no sides"

    @staticmethod
    def of(value: onnx.ValueInfoProto) -> Port:
        """The port that a graph declares."""
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            return Port(value.name, (kind or "nothing").removesuffix("_type"), None)
        tensor = value.type.tensor_type
        kinds = onnx.TensorProto.DataType
        known = tensor.elem_type in kinds.values()
        name = kinds.Name(tensor.elem_type).lower() if known else f"type {tensor.elem_type}"
        if not tensor.HasField("shape"):
            return Port(value.name, name, None)
        dims = tuple(
            dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
            for dim in tensor.shape.dim
        )
        return Port(value.name, name, dims)


def image_input(graph: onnx.GraphProto, path: Path) -> Port:
    """The input of a graph, checked to be an image.

    Raises
    ------
    InputError
        If the graph has another number of inputs, or its input is no image.
    """
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {sparse.values.name for sparse in graph.sparse_initializer}
    ports = [Port.of(value) for value in graph.input if value.name not in stored]
    if len(ports) != 1:
        names = ", ".join(port.name for port in ports) or "none"
        raise InputError(f"{path}: expected one input, an image, got {len(ports)}: {names}")
    port = ports[0]
    if port.kind not in FLOATS:
        raise InputError(
            f"{path}: expected an image in float32, float16 or bfloat16 as input, "
            f"but {port.name!r} is {port.kind}"
        )
    if port.dims is None or len(port.dims) != 4:
        raise InputError(
            f"{path}: expected an image of 4 dimensions as input, such as 1×3×224×224, "
            f"but {port.name!r} has {_shape_text(port)}"
        )
    sides = port.dims[1], port.dims[3]
    if not {COLOURS, GREY, None} & {*sides}:
        raise InputError(
            f"{path}: expected an image with 3 colour channels, or one of grey, as input, "
            f"but {port.name!r} has {_shape_text(port)}"
        )
    return port


def choose_output(ports: Sequence[Port], name: str | None, path: Path) -> Port:
    """The output that holds the class scores.

    Parameters
    ----------
    ports : sequence of Port
        The outputs of the graph.
    name : str or None
        The name of the chosen one.
    path : Path
        The file, for messages.

    Raises
    ------
    InputError
        If there is no such output, or several of which none is chosen, or if it holds no numbers.
    """
    texts = ", ".join(f"{port.name} ({port.shape})" for port in ports)
    if name is None and len(ports) > 1:
        raise InputError(
            f"{path}: has {len(ports)} outputs: {texts}; choose the one with the class scores by "
            f"--scores {ports[0].name}"
        )
    found = [port for port in ports if name in (None, port.name)]
    if not found:
        raise InputError(f"{path}: has no output {name!r}; its outputs: {texts}")
    if found[0].kind not in FLOATS:
        raise InputError(
            f"{path}: expected class scores in float32, float16 or bfloat16 as output, but "
            f"{found[0].name!r} is {found[0].kind}"
        )
    return found[0]


def _shape_text(port: Port) -> str:
    return "an unknown shape" if port.dims is None else f"shape {port.shape}"
