"""Find operators that draw random numbers, whose results no file determines."""

from __future__ import annotations

import onnx

from rsparse.models.onnx.wiring import RANDOM, Wiring, node_text


def randomness_of(model: onnx.ModelProto) -> str | None:
    """The first operator on which the graph's output depends and that is random, in words.

    Dropout is if the graph keeps it in training mode.
    """
    graph = model.graph
    wiring = Wiring(graph, model)
    needed = {value.name for value in graph.output}
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            if node.op_type in RANDOM or _drops(wiring, node):
                return node_text(node)
    return None


def _drops(wiring: Wiring, node: onnx.NodeProto) -> bool:
    """Whether a node is a dropout in training mode that drops anything."""
    if node.op_type != "Dropout" or len(node.input) < 3 or not node.input[2]:
        return False
    mode = wiring.constant(node.input[2])
    ratio = wiring.constant(node.input[1]) if node.input[1] else None
    return mode is not None and bool(mode.any()) and (ratio is None or bool((ratio > 0).any()))
