"""Find what turns a network's logits into probabilities at the end of its graph; take it out."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from rsparse.errors import InputError
from rsparse.models.onnx.probability_operators import (
    LOG_SOFTMAX,
    SIGMOID,
    SOFTMAX,
    is_negligible,
    made_from,
    normalised,
    rescaled,
)
from rsparse.models.onnx.wiring import Wiring, attribute

_MOVING = frozenset(
    ("Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice",
     "Gather", "Split")
)  # fmt: skip
"""Operators that move numbers without changing them."""

_AFTERWARDS = frozenset(("Log", "Exp", "Clip", "Relu", "Sqrt"))
"""Operators that leave the order of probabilities as it is, and go with them."""

_LOST = {
    "TopK": "its scores are sorted by TopK, so that their classes are lost; export it without TopK",
    "ArgMax": "its output is the index of the best class (ArgMax), not a score for each class; "
    "export it without ArgMax",
}
"""Operators after which the scores of the classes cannot be found, and what to do."""

_FLOAT_TYPES = (
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE
)  # fmt: skip


@dataclass(frozen=True)
class Ending:
    """What makes probabilities of logits at the end of a graph.

    Attributes
    ----------
    kind : {"softmax", "sigmoid"}
    logits : str
        The tensor of the logits.
    passes : tuple of (int, str)
        The places of the nodes to take out, and what each passes on instead.
    changes : tuple of str
        Operators among these after which the outputs are no probabilities any more, or others.
    over : str or None
        The kind of a second softmax or sigmoid, which takes the probabilities for logits.
    """

    kind: str
    logits: str
    passes: tuple[tuple[int, str], ...]
    changes: tuple[str, ...] = ()
    over: str | None = None


def find_ending(model: onnx.ModelProto) -> Ending | None:
    """The softmax, log-softmax or sigmoid at the end of a graph; ``None`` if it ends otherwise.

    Operators that only move numbers may follow it, and operators that leave the order of the
    classes as it is. It may be written out, as some exporters do: exp(z) / Σ exp(z), or
    1 / (1 + exp(−z)). Of two, one over the other, the first counts. What the second takes may also
    be logarithms of probabilities: of a softmax, they change nothing; any others are logits.

    Raises
    ------
    InputError
        If the graph ends in an operator that loses the scores of the classes.
    """
    search = _Search(model)
    found = search.before(model.graph.output[0].name)
    if found is None:
        return None
    ending = found.ending
    while (inner := search.before(ending.logits, is_end=False)) is not None:
        both = {ending.kind, inner.ending.kind} == {SOFTMAX}
        if inner.is_logarithm and not (both and inner.is_exact):
            break
        if not inner.is_logarithm and search.is_single(ending.logits):
            break  # of one number, the size matters, not the order
        ending = Ending(
            inner.ending.kind,
            inner.ending.logits,
            (*ending.passes, *inner.ending.passes),
            (*ending.changes, *inner.ending.changes),
            ending.over if inner.is_logarithm else ending.kind,
        )
    return ending


@dataclass(frozen=True)
class _Found:
    """An ending before a tensor, whether the tensor is its logarithm, and that and nothing else."""

    ending: Ending
    is_logarithm: bool
    is_exact: bool


class _Search:
    """Follows a graph from its end towards its beginning."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.wiring = Wiring(model.graph, model)
        self.places = {name: n for n, node in enumerate(model.graph.node) for name in node.output}

    def before(self, tensor: str, *, is_end: bool = True) -> _Found | None:
        """The last operator before a tensor that makes probabilities, if any is so near."""
        passed: list[tuple[onnx.NodeProto, str]] = []
        while (node := self.wiring.producer.get(tensor)) is not None:
            made = made_from(self.wiring, node, self.model)
            if made is not None:
                return self._found(*made, node, passed)
            if is_end and node.op_type in _LOST:
                raise InputError(_LOST[node.op_type])
            if node.op_type in _MOVING or _is_float_cast(node):
                tensor = node.input[0]
                continue
            source = self._source(node)
            if source is None:
                return None
            passed.append((node, source))
            tensor = source
        return None

    def is_single(self, tensor: str) -> bool:
        """Whether a tensor has one number for an image."""
        shape = self.wiring.shape(self.model, tensor)
        return shape is not None and all(side == 1 for side in shape[1:])

    def _source(self, node: onnx.NodeProto) -> str | None:
        """The tensor that a node changes without changing the order of the classes."""
        if node.op_type in _AFTERWARDS:
            return str(node.input[0])
        return rescaled(self.wiring, node) or normalised(self.wiring, node, self.model)

    def _found(
        self, kind: str, logits: str, node: onnx.NodeProto, passed: list[tuple[onnx.NodeProto, str]]
    ) -> _Found | None:
        """An ending and the operators after it, which are in the order from the end."""
        is_logarithm, is_exact = kind == LOG_SOFTMAX, True
        changes = []
        for one, source in reversed(passed):
            divided = one.op_type not in _AFTERWARDS and rescaled(self.wiring, one) != source
            if divided and (is_logarithm or kind == SIGMOID):
                return None  # these are probabilities of another kind
            if one.op_type in ("Log", "Exp"):
                is_logarithm = one.op_type == "Log"
            elif one.op_type not in _AFTERWARDS and not is_negligible(self.wiring, one):
                is_exact = False
                changes.append(one.op_type)
        passes = tuple((self.places[one.output[0]], source) for one, source in passed)
        passes += ((self.places[node.output[0]], logits),)
        kind = SOFTMAX if kind == LOG_SOFTMAX else kind
        return _Found(Ending(kind, logits, passes, tuple(changes)), is_logarithm, is_exact)


def without_ending(model: onnx.ModelProto, ending: Ending) -> None:
    """Let the graph pass on the logits instead of what the ending makes of them."""
    for place, source in ending.passes:
        node = model.graph.node[place]
        node.CopyFrom(helper.make_node("Identity", [source], node.output[:1], name=node.name))


def _is_float_cast(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and attribute(node, "to") in _FLOAT_TYPES
