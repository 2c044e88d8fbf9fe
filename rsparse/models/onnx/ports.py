"""The image that a graph takes and the outputs that it gives, as the file declares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from rsparse.errors import InputError

Dims = tuple[int | None, ...]

FLOATS = ("float", "float16", "bfloat16", "double")
INTEGERS = {
    "uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767),
    "uint32": (0, 2**32 - 1), "int32": (-(2**31), 2**31 - 1),
    "uint64": (0, 2**64 - 1), "int64": (-(2**63), 2**63 - 1),
}  # fmt: skip
"""The smallest and the largest number of each type of whole numbers."""

COLOURS, GREY = 3, 1

_SCORES = ("logit", "score", "prob", "softmax", "pred", "class")
"""Words in the names of outputs that hold class scores."""


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

    @property
    def may_be_scores(self) -> bool:
        """Whether it can hold a row of scores for each image: at most one side is not 1."""
        sides = [side for side in (self.dims or ())[1:] if side != 1]
        return self.kind in FLOATS and len(sides) <= 1

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
    if port.kind not in (*FLOATS, *INTEGERS):
        raise InputError(
            f"{path}: expected an image in floats or whole numbers as input, "
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
        raise InputError(f"{path}: has {len(ports)} outputs: {texts}; {_suggestion(ports)}")
    found = [port for port in ports if name in (None, port.name)]
    if not found:
        raise InputError(f"{path}: has no output {name!r}; its outputs: {texts}")
    if found[0].kind not in FLOATS:
        raise InputError(
            f"{path}: expected class scores in floats as output, but {found[0].name!r} is "
            f"{found[0].kind}; {_suggestion([p for p in ports if p is not found[0]])}"
        )
    return found[0]


def _suggestion(ports: Sequence[Port]) -> str:
    """What to do if the output with the class scores is to be chosen from several, or is none."""
    possible = [port for port in ports if port.may_be_scores]
    if not possible:
        return "export it with a score in floats for each class as an output"
    named = [port for port in possible if any(word in port.name.lower() for word in _SCORES)]
    best = named or possible
    said = best[0].name if len(best) == 1 else "NAME"
    which = "" if len(best) == 1 else f", where NAME is one of {', '.join(p.name for p in best)}"
    return f"choose the one with the class scores by --scores {said}{which}"


def _shape_text(port: Port) -> str:
    return "an unknown shape" if port.dims is None else f"shape {port.shape}"
