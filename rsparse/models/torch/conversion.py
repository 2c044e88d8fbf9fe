"""Convert ONNX graphs to torch: a graph of functions over the tensors that the file stores.

Each node becomes a call of its operator's function. A stored tensor becomes one buffer, whatever
nodes use it, so gradients and new values of weights belong to the file's own tensors.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from torch import fx, nn

from rsparse.errors import InputError
from rsparse.models.torch.functions import unknown_operators, with_functions_expanded
from rsparse.models.torch.operators import OPERATORS, Operator
from rsparse.models.torch.operators.registry import SUPPLIED
from rsparse.models.torch.stored import attribute_value, constant_tensor, is_default, stored_tensors

Tensor = torch.Tensor

STORED, MODULES, WHERE = "stored", "modules", "where"
"""Keys of ``meta``. Of a network: buffers by the names of the tensors that the file stores, and
modules by the names of the tensors that they compute. Of its nodes: the operator in words."""

_SIZES = ("Shape", "Size", "SequenceLength")


def convert(model: onnx.ModelProto) -> fx.GraphModule:
    """Convert a graph to torch, in evaluation mode.

    Raises
    ------
    InputError
        If an operator, or what it is asked for, is not supported. It does not name the file.
    """
    model = with_functions_expanded(model)
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    _refuse_unknown(model.graph, versions)
    conversion = _Conversion(model.graph, versions.get("ai.onnx", 1))
    for node in model.graph.node:
        where = _described(node, versions)
        try:
            conversion.add(node, where)
        except Exception as error:  # functions of torch raise many types
            raise InputError(f"{where}: {reason(error)}") from error
    return conversion.network([value.name for value in model.graph.output])


def reason(error: Exception) -> str:
    """An error's text on one line."""
    text = " ".join(str(error).split())[:300] or type(error).__name__
    return f"{text} is not supported" if isinstance(error, NotImplementedError) else text


def _refuse_unknown(graph: onnx.GraphProto, versions: dict[str, int]) -> None:
    unknown = unknown_operators(graph.node)
    if unknown:
        names = ", ".join(name for _, name in unknown)
        domains = sorted({domain or "ai.onnx" for domain, _ in unknown})
        sets = ", ".join(f"{domain} {versions.get(domain, 1)}" for domain in domains)
        plural = "s" if len(unknown) > 1 else ""
        raise InputError(f"the operator{plural} {names} (of {sets}) cannot be computed in torch")


def _described(node: onnx.NodeProto, versions: dict[str, int]) -> str:
    """A node in words: its operator, the operator set of the file, and its name."""
    domain = node.domain or "ai.onnx"
    name = f" {node.name!r}" if node.name else ""
    return f"the operator {node.op_type}{name} (of {domain} {versions.get(domain, 1)})"


@dataclass(frozen=True)
class _Input:
    """An input of a node: a tensor by its name, or the value that an attribute gives instead."""

    kind: str
    name: str = ""
    given: Any = None


class _Conversion:
    """Adds nodes one by one.

    ``known`` holds tensors that do not depend on the image: stored ones, and those computed from
    stored numbers, as far as these are no weights. ``values`` holds the others. The sizes of
    tensors, and what is computed from sizes, stay on the CPU (``on_cpu``), wherever the network is.
    """

    def __init__(self, graph: onnx.GraphProto, opset: int) -> None:
        self.opset = opset
        self.root, self.graph = nn.Module(), fx.Graph()
        self.known = dict(stored_tensors(graph))
        self.weights = {
            name for name, x in self.known.items() if x.is_floating_point() and x.dim() > 0
        }
        inputs = [value.name for value in graph.input if value.name not in self.known]
        self.values: dict[str, fx.Node] = {
            name: self.graph.placeholder(f"input_{place}") for place, name in enumerate(inputs)
        }
        self.on_cpu: set[fx.Node] = set()
        self.buffers: dict[str, fx.Node] = {}
        self.modules: dict[str, str] = {}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.uses.update(value.name for value in graph.output)

    def network(self, outputs: list[str]) -> fx.GraphModule:
        """The network of the nodes so far; it returns one output, or a tuple of several."""
        results = tuple(self._tensor(name) for name in outputs)
        self.graph.output(results[0] if len(results) == 1 else results)
        network = fx.GraphModule(self.root, self.graph)
        network.meta[STORED] = {name: str(node.target) for name, node in self.buffers.items()}
        network.meta[MODULES] = dict(self.modules)
        return network.eval()

    def add(self, node: onnx.NodeProto, where: str) -> None:
        """Add a node: compute it now if it depends on stored numbers alone, otherwise call it."""
        if node.op_type == "Constant":
            self.known[node.output[0]] = constant_tensor(node)
            return
        if node.op_type == "Identity" and node.input[0] in self.known:
            self.known[node.output[0]] = self.known[node.input[0]]
            self.weights |= {node.output[0]} if node.input[0] in self.weights else set()
            return
        entry = OPERATORS[node.op_type]
        inputs, keywords = self._arguments(entry, node)
        names = [one.name for one in inputs if one.name]
        is_fixed = all(name in self.known for name in names)
        if (
            is_fixed
            and not entry.is_module
            and (node.op_type in _SIZES or not self.weights.intersection(names))
        ):
            result = entry.function(*map(self._known_value, inputs), **keywords)
            results = result if entry.several else (result,)
            self.known.update(_named(node, results))
        else:
            self._call(entry, node, inputs, keywords, where)

    def _arguments(
        self, entry: Operator, node: onnx.NodeProto
    ) -> tuple[list[_Input], dict[str, Any]]:
        """The inputs of a node and the keywords of its function."""
        attributes = {one.name: attribute_value(one) for one in node.attribute}
        kinds = list(entry.inputs)
        while entry.variadic and len(kinds) < len(node.input):
            kinds.append(kinds[-1])
        if any(node.input[len(kinds) :]):
            raise NotImplementedError(f"its input number {len(kinds) + 1}")
        inputs = []
        for place, (name, kind) in enumerate(kinds):
            given = None if name in entry.keywords else attributes.pop(name, None)
            tensor = node.input[place] if place < len(node.input) else ""
            inputs.append(_Input(kind, tensor, given))
        while inputs and inputs[-1] == _Input(inputs[-1].kind):
            inputs.pop()  # absent at the end: the function has a default
        keywords = {name: attributes[name] for name in attributes if name in entry.keywords}
        supplied = {"opset": self.opset, "n_outputs": len(node.output)}
        keywords |= {name: supplied[name] for name in SUPPLIED if name in entry.keywords}
        for name in attributes.keys() - keywords.keys() - entry.ignored:
            if not is_default(node, name, self.opset):
                raise NotImplementedError(f"its attribute {name!r}")
        return inputs, keywords

    def _known_value(self, one: _Input) -> Any:
        """The value of an input that is known, as the function wants it."""
        if not one.name:
            return one.given
        x = self.known[one.name]
        if one.kind == "Numbers":
            return tuple(x.reshape(-1).tolist())
        if one.kind == "Number" and x.numel() == 1:
            return x.item()
        return int(x.item()) if one.kind == "Index" and x.dim() == 0 else x

    def _call(
        self,
        entry: Operator,
        node: onnx.NodeProto,
        inputs: list[_Input],
        keywords: dict[str, Any],
        where: str,
    ) -> None:
        """Add the call of a node's function to the graph."""
        on_cpu = self._stays_on_cpu(node)
        arguments = tuple(self._argument(one, on_cpu) for one in inputs)
        if not on_cpu:
            arguments = self._on_one_device(arguments, inputs)
        if entry.is_module:
            target = f"{node.op_type}_{len(self.modules)}"
            self.root.add_module(target, entry.function(**keywords))
            self.modules[node.output[0]] = target
            result = self.graph.call_module(target, arguments)
        else:
            result = self.graph.call_function(entry.function, arguments, keywords)
        result.meta[WHERE] = where
        outputs = [result]
        if entry.several:
            places = range(len(node.output))
            outputs = [self.graph.call_function(operator.getitem, (result, n)) for n in places]
        for name in node.output[len(outputs) :]:
            if self.uses[name]:
                raise NotImplementedError(f"its output {name!r}")
        self.values.update(_named(node, outputs))
        self.on_cpu.update(outputs if on_cpu else ())

    def _stays_on_cpu(self, node: onnx.NodeProto) -> bool:
        """Whether a node computes sizes, or with nothing but sizes and stored numbers."""
        if node.op_type in _SIZES:
            return True
        computed = [self.values[name] for name in node.input if name in self.values]
        return not self.weights.intersection(node.input) and self.on_cpu.issuperset(computed)

    def _argument(self, one: _Input, on_cpu: bool) -> Any:
        if one.name in self.known:
            value = self._known_value(one)
            if not isinstance(value, Tensor):
                return value
            if on_cpu:
                numbers, sizes = tuple(value.reshape(-1).tolist()), tuple(value.shape)
                return self.graph.call_function(tensor_on_cpu, (numbers, sizes, value.dtype))
        return self._tensor(one.name) if one.name else one.given

    def _tensor(self, name: str) -> fx.Node:
        """The node of a tensor; the first use of a stored one makes its buffer."""
        if name in self.values:
            return self.values[name]
        if name not in self.buffers:
            x = self.known[name]
            same = next((node for one, node in self.buffers.items() if self.known[one] is x), None)
            if same is None:
                buffer = f"stored_{len(self.buffers)}"
                self.root.register_buffer(buffer, x)
                same = self.graph.get_attr(buffer)
            self.buffers[name] = same
        return self.buffers[name]

    def _on_one_device(self, arguments: tuple[Any, ...], inputs: list[_Input]) -> tuple[Any, ...]:
        """Move sizes that are used as tensors to the device of the other arguments."""
        nodes = [one for one in arguments if isinstance(one, fx.Node) and one not in self.on_cpu]
        if not nodes:
            return arguments
        return tuple(
            self.graph.call_function(beside, (argument, nodes[0]))
            if argument in self.on_cpu and one.kind in ("Tensor", "Index")
            else argument
            for argument, one in zip(arguments, inputs, strict=True)
        )


def _named(node: onnx.NodeProto, outputs: Iterable[Any]) -> dict[str, Any]:
    """The outputs of a node by their names, without those that have none."""
    return {name: value for name, value in zip(node.output, outputs, strict=False) if name}


def tensor_on_cpu(numbers: tuple[float, ...], sizes: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A small tensor of known numbers."""
    return torch.tensor(numbers, dtype=dtype).reshape(sizes)


def beside(x: Tensor, like: Any) -> Tensor:
    """A tensor on the device of another."""
    return x.to(like.device) if isinstance(like, Tensor) else x
