"""Find the nodes that an output needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx


def names_read(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that a node reads, those of the graphs inside it included."""
    yield from node.input
    for entry in node.attribute:
        for graph in (entry.g, *entry.graphs):
            for inner in graph.node:
                yield from names_read(inner)


def needed_nodes(
    graph: onnx.GraphProto, outputs: Iterable[str]
) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes that some outputs need, in their order, and all tensors that are read or made."""
    needed, kept = set(outputs), []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(names_read(node))
    return kept[::-1], needed


def keep_output(model: onnx.ModelProto, name: str) -> None:
    """Remove the other outputs of a model, and the nodes that only they need."""
    graph = model.graph
    nodes, _ = needed_nodes(graph, [name])
    outputs = [value for value in graph.output if value.name == name]
    kept = onnx.GraphProto(node=nodes, output=outputs)  # a copy: what is deleted below is lost
    del graph.node[:]
    graph.node.extend(kept.node)
    del graph.output[:]
    graph.output.extend(kept.output)
