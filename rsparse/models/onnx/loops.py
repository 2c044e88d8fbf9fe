"""Find the loops of a graph, which may run for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx

from rsparse.models.onnx.pruning import names_read, needed_nodes

_LOOPS = frozenset(("Loop", "Scan"))


def loops_of(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """All loops of a model, those inside other nodes and in its functions included."""
    bodies = (model.graph.node, *(function.node for function in model.functions))
    return [loop for nodes in bodies for loop in _loops_among(nodes)]


def _loops_among(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        if node.op_type in _LOOPS:
            yield node
        for entry in node.attribute:
            for graph in (entry.g, *entry.graphs):
                yield from _loops_among(graph.node)


def does_nothing(loop: onnx.NodeProto) -> bool:
    """Whether no operator of a loop depends on what changes from one pass to the next.

    onnxruntime notices that it should stop only when it runs an operator, and it computes what does
    not change beforehand.
    """
    for entry in loop.attribute:
        body = entry.g
        if entry.name == "body":
            nodes, _ = needed_nodes(body, [value.name for value in body.output])
            changing = {value.name for value in body.input}
            return not any(changing.intersection(names_read(node)) for node in nodes)
    return True
