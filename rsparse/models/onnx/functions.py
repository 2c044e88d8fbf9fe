"""Write out the functions that an ONNX model defines, so that its graph shows all operators."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import onnx
import onnx.inliner

from rsparse.errors import InputError

MAX_NODES = 1_000_000
"""A few functions that call each other often can stand for more nodes than memory holds."""


def with_functions_written_out(model: onnx.ModelProto, where: str = "model") -> onnx.ModelProto:
    """Return the model with each call of its own functions replaced by the function's nodes.

    A model without functions is returned unchanged.

    Raises
    ------
    InputError
        If the functions call each other in a circle, or stand for too many nodes.
    """
    if not model.functions:
        return model
    try:
        nodes = _count_nodes(model)
    except RecursionError as error:
        raise InputError(f"{where}: its functions call each other in a circle") from error
    if nodes > MAX_NODES:
        raise InputError(
            f"{where}: its functions stand for more than {MAX_NODES:,} nodes; expected fewer"
        )
    try:
        return onnx.inliner.inline_local_functions(model, convert_version=True)
    except Exception as error:  # onnx raises several types of its own
        detail = " ".join(str(error).split())[:300]
        raise InputError(f"{where}: its functions cannot be written out: {detail}") from error


def _count_nodes(model: onnx.ModelProto) -> int:
    """The number of nodes with all functions written out."""
    functions = {(one.domain, one.name, one.overload): one for one in model.functions}

    def count(nodes: Iterable[onnx.NodeProto]) -> int:
        return sum(size((node.domain, node.op_type, node.overload)) for node in nodes)

    @cache
    def size(name: tuple[str, str, str]) -> int:
        return count(functions[name].node) if name in functions else 1

    return count(model.graph.node)
