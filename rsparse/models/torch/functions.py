"""Replace nodes by what they are made of: functions of the model, and of the standard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import onnx
import onnx.inliner
from onnx import helper

from rsparse.models.onnx.functions import with_functions_written_out
from rsparse.models.torch.operators import OPERATORS
from rsparse.models.torch.stored import is_default

_DEPTH = 4  # functions of the standard use functions in their definitions


def with_functions_expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the functions that it defines written out, and some operators.

    The standard defines many operators as functions of simpler ones. Those without a function in
    ``OPERATORS``, or asked for something that it lacks, are replaced by that definition, so
    operators of later standards can be converted as well.
    """
    model = with_functions_written_out(model)
    for _ in range(_DEPTH):
        names = _operators_to_expand(model)
        if not names:
            break
        expanded = _expanded(model, names)
        if len(expanded.graph.node) == len(model.graph.node):
            break
        model = expanded
    return model


def unknown_operators(nodes: Iterable[onnx.NodeProto]) -> list[tuple[str, str]]:
    """Domains and names of operators that have no function in torch, each once, sorted."""
    return sorted({(node.domain, node.op_type) for node in nodes if not _is_known(node)})


def _is_known(node: onnx.NodeProto) -> bool:
    standard = node.domain in ("", "ai.onnx")
    return standard and (node.op_type in OPERATORS or node.op_type == "Constant")


def _operators_to_expand(model: onnx.ModelProto) -> list[tuple[str, str]]:
    """Operators that are unknown, or whose function lacks an input, attribute or output."""
    graph = model.graph
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)
    used = Counter(name for node in graph.node for name in node.input if name)
    used.update(value.name for value in graph.output)
    return sorted(
        {
            (node.domain, node.op_type)
            for node in graph.node
            if not _is_known(node) or (node.op_type in OPERATORS and _lacks(node, opset, used))
        }
    )


def _lacks(node: onnx.NodeProto, opset: int, used: Counter[str]) -> bool:
    entry = OPERATORS[node.op_type]
    names = entry.keywords | entry.ignored | {name for name, _ in entry.inputs}
    return (
        (not entry.variadic and any(node.input[len(entry.inputs) :]))
        or (not entry.several and any(used[name] for name in node.output[1:]))
        or any(one.name not in names and not is_default(node, one.name, opset)
               for one in node.attribute)
    )  # fmt: skip


def _expanded(model: onnx.ModelProto, names: list[tuple[str, str]]) -> onnx.ModelProto:
    """Write out functions of the standard, which may depend on the types of their inputs."""
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    inputs = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if tensor.name not in inputs:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            typed.graph.input.append(value)
    try:
        expanded = onnx.inliner.inline_selected_functions(
            typed, names, inline_schema_functions=True
        )
    except Exception:  # an older onnx cannot, or a function does not fit its node
        return model
    del expanded.graph.input[len(model.graph.input) :]
    return expanded
