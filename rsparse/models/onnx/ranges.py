"""Bound the numbers of a tensor by the operators that make it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx

from rsparse.models.onnx.wiring import Wiring, attribute

Bounds = tuple[float, float]

ANY: Bounds = (-math.inf, math.inf)
DEEPEST = 30
"""How many operators before the end are looked at."""

_FIXED: dict[str, Bounds] = {
    "Sigmoid": (0, 1), "HardSigmoid": (0, 1), "Softmax": (0, 1), "Hardmax": (0, 1),
    "Tanh": (-1, 1), "Softsign": (-1, 1), "Erf": (-1, 1), "Sin": (-1, 1), "Cos": (-1, 1),
    "LogSoftmax": (-math.inf, 0),
}  # fmt: skip
_KEEPING = frozenset(
    ("Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice",
     "Gather", "Split", "Expand", "Cast", "ReduceMean", "GlobalAveragePool")
)  # fmt: skip
_RISING: dict[str, Callable[[float], float]] = {
    "Relu": lambda x: max(x, 0.0),
    "Sqrt": lambda x: math.sqrt(max(x, 0.0)),
    "Exp": lambda x: math.exp(min(x, 700.0)),
}
_BETWEEN: dict[str, Callable[[float, float], float]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
    "Max": max,
    "Min": min,
}


def is_within_unit(model: onnx.ModelProto) -> bool:
    """Whether the operators of a graph keep its output between 0 and 1, whatever the image."""
    wiring = Wiring(model.graph, model)
    low, high = _bounds(wiring, model.graph.output[0].name, DEEPEST)
    return low >= 0 and high <= 1 + 1e-6


def _bounds(wiring: Wiring, name: str, depth: int) -> Bounds:
    """The smallest and the largest number that a tensor can have."""
    if wiring.is_constant(name):
        value = wiring.constant(name)
        if value is None or not value.size or not np.issubdtype(value.dtype, np.number):
            return ANY
        return float(value.min()), float(value.max())
    node = wiring.producer.get(name)
    if node is None or depth == 0:
        return ANY
    if node.op_type in _FIXED:
        return _FIXED[node.op_type]
    sources = node.input[:1] if node.op_type in _KEEPING | _RISING.keys() | {"Clip"} else node.input
    if node.op_type in _BETWEEN.keys() | {"Sum", "Mean", "Concat"} or len(sources) == 1:
        return _of_node(wiring, node, [_bounds(wiring, each, depth - 1) for each in sources])
    return ANY


def _of_node(wiring: Wiring, node: onnx.NodeProto, given: list[Bounds]) -> Bounds:
    """The bounds of what a node makes of tensors with the given bounds."""
    lows, highs = zip(*given, strict=True)
    kind = node.op_type
    if kind in _KEEPING:
        return given[0]
    if kind in _RISING:
        low, high = map(_RISING[kind], given[0])
        return low, high
    if kind == "Clip":
        low = _limit(wiring, node, "min", 1, -math.inf)
        high = _limit(wiring, node, "max", 2, math.inf)
        return min(max(lows[0], low), high), min(max(highs[0], low), high)
    if kind == "Concat":
        return min(lows), max(highs)
    if kind in ("Sum", "Mean"):
        parts = len(given) if kind == "Mean" else 1
        return sum(lows) / parts, sum(highs) / parts
    if kind in _BETWEEN and len(given) == 2:
        return _corners(_BETWEEN[kind], *given, divides=kind == "Div")
    return ANY


def _corners(
    combine: Callable[[float, float], float], first: Bounds, second: Bounds, *, divides: bool
) -> Bounds:
    """The bounds of a sum, difference, product, quotient, maximum or minimum."""
    if divides and second[0] <= 0 <= second[1]:
        return ANY
    results = [combine(a, b) for a in first for b in second]
    return ANY if any(map(math.isnan, results)) else (min(results), max(results))


def _limit(wiring: Wiring, node: onnx.NodeProto, name: str, place: int, none: float) -> float:
    """A limit of a Clip: an attribute in older operator sets, an input in newer ones."""
    value = attribute(node, name)
    if value is None and len(node.input) > place and node.input[place]:
        value = wiring.constant(node.input[place])
    return none if value is None else float(np.asarray(value).reshape(-1)[0])
