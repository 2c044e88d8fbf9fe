"""Recognise the operator that turns a network's logits into probabilities, and take it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from rsparse.errors import InputError
from rsparse.models.onnx.wiring import Wiring, attribute

SOFTMAX, SIGMOID = "softmax", "sigmoid"

_MOVING = frozenset(
    ("Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice")
)
"""Operators that move numbers without changing them."""

_AFTERWARDS = frozenset(("Log", "Exp", "Clip"))
"""Operators that leave the order of probabilities as it is, and go with them."""

_FLOAT_TYPES = (
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE
)  # fmt: skip


@dataclass(frozen=True)
class Ending:
    """The operator that makes probabilities of logits at the end of a graph.

    Attributes
    ----------
    kind : {"softmax", "sigmoid"}
    logits : str
        The tensor of the logits.
    node : int
        The place of the node that gives the probabilities.
    others : tuple of int
        The places of the nodes that change the probabilities afterwards.
    """

    kind: str
    logits: str
    node: int
    others: tuple[int, ...]


def find_ending(model: onnx.ModelProto) -> Ending | None:
    """The softmax, log-softmax or sigmoid at the end of a graph; ``None`` if it ends otherwise.

    Operators that only move numbers may follow it. It may be written out, as some exporters do:
    exp(z) / Σ exp(z), or 1 / (1 + exp(−z)).
    """
    wiring = Wiring(model.graph, model)
    places = {name: n for n, node in enumerate(model.graph.node) for name in node.output}
    tensor = model.graph.output[0].name
    others: list[int] = []
    while (node := wiring.producer.get(tensor)) is not None:
        for kind, logits_of in _FORMS:
            logits = logits_of(wiring, node, model)
            if logits is not None:
                return Ending(kind, logits, places[tensor], tuple(others))
        if node.op_type == "TopK":
            raise InputError(
                "its scores are sorted by TopK, so that their classes are lost; export it without "
                "TopK"
            )
        if node.op_type in _AFTERWARDS:
            others.append(places[tensor])
        elif node.op_type not in _MOVING and not _is_float_cast(node):
            return None
        tensor = node.input[0]
    return None


def without_ending(model: onnx.ModelProto, ending: Ending) -> None:
    """Let the graph pass on the logits instead of what the ending makes of them."""
    nodes = model.graph.node
    for place, source in ((ending.node, ending.logits), *((n, "") for n in ending.others)):
        node = nodes[place]
        passed = helper.make_node(
            "Identity", [source or node.input[0]], node.output[:1], name=node.name
        )
        node.CopyFrom(passed)


def _is_float_cast(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and attribute(node, "to") in _FLOAT_TYPES


def _softmax(wiring: Wiring, node: onnx.NodeProto, model: onnx.ModelProto) -> str | None:
    if node.op_type not in ("Softmax", "LogSoftmax"):
        return None
    version = max((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), default=1)
    axis = attribute(node, "axis", -1 if version >= 13 else 1)
    over = _is_over_classes(wiring, model, node.input[0], axis, onwards=version < 13)
    return node.input[0] if over else None


def _written_softmax(wiring: Wiring, node: onnx.NodeProto, model: onnx.ModelProto) -> str | None:
    """The logits of exp(z) / Σ exp(z), with or without the largest z subtracted before."""
    if node.op_type != "Div":
        return None
    powers = _made_by(wiring, node.input[0], "Exp")
    total = _made_by(wiring, node.input[1], "ReduceSum")
    if powers is None or total is None or total.input[0] != node.input[0]:
        return None
    axes = wiring.list_argument(total, "axes", 1) or []
    logits: str = powers.input[0]
    if len(axes) != 1 or not _is_over_classes(wiring, model, logits, axes[0]):
        return None
    shifted = _made_by(wiring, logits, "Sub")
    largest = None if shifted is None else _made_by(wiring, shifted.input[1], "ReduceMax")
    if shifted is None or largest is None or largest.input[0] != shifted.input[0]:
        return logits
    return str(shifted.input[0])


def _made_by(wiring: Wiring, name: str, op_type: str) -> onnx.NodeProto | None:
    """The node that makes a tensor, if it has this operator."""
    node = wiring.producer.get(name)
    return node if node is not None and node.op_type == op_type else None


def _is_over_classes(
    wiring: Wiring, model: onnx.ModelProto, tensor: str, axis: int, *, onwards: bool = False
) -> bool:
    """Whether an axis of a tensor is that of the classes: all others but the first have side 1.

    ``onwards`` means the axis with all that follow it, as in the softmax of older operator sets.
    """
    shape = wiring.shape(model, tensor)
    if shape is None:
        return axis in (1, -1)
    if len(shape) == 1:
        return True
    axis %= max(len(shape), 1)
    summed = range(axis, len(shape)) if onwards else (axis,)
    others = [side for place, side in enumerate(shape) if place not in summed and place > 0]
    return 0 not in summed and all(side in (1, None) for side in others)


def _sigmoid(wiring: Wiring, node: onnx.NodeProto, model: onnx.ModelProto) -> str | None:  # noqa: ARG001
    return node.input[0] if node.op_type == "Sigmoid" else None


def _written_sigmoid(wiring: Wiring, node: onnx.NodeProto, model: onnx.ModelProto) -> str | None:  # noqa: ARG001
    """The logits of 1 / (1 + exp(−z))."""
    if node.op_type == "Div" and _is_one(wiring, node.input[0]):
        below = _made_by(wiring, node.input[1], "Add")
    elif node.op_type == "Reciprocal":
        below = _made_by(wiring, node.input[0], "Add")
    else:
        return None
    computed = [] if below is None else wiring.computed_inputs(below)
    if below is None or len(computed) != 1 or not any(_is_one(wiring, n) for n in below.input):
        return None
    power = _made_by(wiring, computed[0], "Exp")
    negative = None if power is None else _made_by(wiring, power.input[0], "Neg")
    return None if negative is None else str(negative.input[0])


def _is_one(wiring: Wiring, name: str) -> bool:
    value = wiring.constant(name)
    return value is not None and bool((value == 1).all())


_LogitsOf = Callable[[Wiring, onnx.NodeProto, onnx.ModelProto], str | None]
_FORMS: tuple[tuple[str, _LogitsOf], ...] = (
    (SOFTMAX, _softmax),
    (SOFTMAX, _written_softmax),
    (SIGMOID, _sigmoid),
    (SIGMOID, _written_sigmoid),
)
