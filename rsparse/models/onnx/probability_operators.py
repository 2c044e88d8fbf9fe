"""Recognise the operators that make probabilities of logits, also written out, and rescale them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from rsparse.models.onnx.wiring import Wiring, attribute

SOFTMAX, LOG_SOFTMAX, SIGMOID = "softmax", "log-softmax", "sigmoid"

_RAISING = frozenset(("Add", "Sub", "Max", "Min"))
"""Operators that leave the order of numbers as it is if a constant is their second input."""

NEXT_TO_NOTHING = 1e-3

_SCALING = frozenset(("Mul", "Div", "Pow"))
"""The same with a constant above 0; for powers, of numbers that are not below 0."""

_SUMS = frozenset(("ReduceSum", "ReduceL1", "ReduceL2", "ReduceMax"))
_BESIDE_SUMS = frozenset(("Add", "Clip", "Max", "Expand", "Identity", "Unsqueeze"))
"""Operators between a sum and the division by it that keep it from being 0."""


def made_from(
    wiring: Wiring, node: onnx.NodeProto, model: onnx.ModelProto
) -> tuple[str, str] | None:
    """What a node, or the last node of a written-out form, makes, and the tensor of the logits."""
    for kind, logits_of in _FORMS:
        logits = logits_of(wiring, node, model)
        if logits is not None:
            return kind, logits
    return None


def rescaled(wiring: Wiring, node: onnx.NodeProto) -> str | None:
    """What a node rescales by one constant for all classes, which leaves their order as it is."""
    if node.op_type not in _RAISING | _SCALING:
        return None
    computed = wiring.computed_inputs(node)
    others = [wiring.constant(name) for name in node.input if name not in computed]
    if len(computed) != 1 or len(others) != 1 or others[0] is None or others[0].size != 1:
        return None
    symmetric = node.op_type not in ("Sub", "Div", "Pow")
    rising = node.op_type in _RAISING or others[0].item() > 0
    return computed[0] if rising and (symmetric or computed[0] == node.input[0]) else None


def is_negligible(wiring: Wiring, node: onnx.NodeProto) -> bool:
    """Whether a node adds next to nothing, as is done before a logarithm."""
    constants = [wiring.constant(name) for name in node.input if wiring.is_constant(name)]
    small = all(x is not None and np.abs(x).max(initial=0) <= NEXT_TO_NOTHING for x in constants)
    return node.op_type in _RAISING and small


def normalised(wiring: Wiring, node: onnx.NodeProto, model: onnx.ModelProto) -> str | None:
    """What a node divides by its own sum, norm or maximum over the classes."""
    if node.op_type == "LpNormalization":
        axis = attribute(node, "axis", -1)
        return node.input[0] if _is_over_classes(wiring, model, node.input[0], axis) else None
    total = wiring.producer.get(node.input[1]) if node.op_type == "Div" else None
    while total is not None and total.op_type in _BESIDE_SUMS:
        computed = wiring.computed_inputs(total)[:1]
        total = wiring.producer.get(computed[0]) if computed else None
    if total is None or total.op_type not in _SUMS or total.input[0] != node.input[0]:
        return None
    axes = wiring.list_argument(total, "axes", 1) or []
    over = len(axes) == 1 and _is_over_classes(wiring, model, total.input[0], axes[0])
    return node.input[0] if over else None


def _softmax(wiring: Wiring, node: onnx.NodeProto, model: onnx.ModelProto) -> str | None:
    return _over_classes(wiring, node, model) if node.op_type == "Softmax" else None


def _log_softmax(wiring: Wiring, node: onnx.NodeProto, model: onnx.ModelProto) -> str | None:
    return _over_classes(wiring, node, model) if node.op_type == "LogSoftmax" else None


def _over_classes(wiring: Wiring, node: onnx.NodeProto, model: onnx.ModelProto) -> str | None:
    """The input of a softmax, if its axis is that of the classes."""
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
    (LOG_SOFTMAX, _log_softmax),
    (SOFTMAX, _written_softmax),
    (SIGMOID, _sigmoid),
    (SIGMOID, _written_sigmoid),
)
