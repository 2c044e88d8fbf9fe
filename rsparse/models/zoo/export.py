"""Export a torch network to ONNX: clean names, any batch size, equal bytes for equal weights."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from rsparse.errors import InputError
from rsparse.models.onnx.provenance import file_content
from rsparse.models.zoo.layer_names import layer_name

if TYPE_CHECKING:
    from torch import nn

OPSET = 17
"""The operator set of exported models; torch's tracing exporter knows it fully."""


def export_onnx(
    network: nn.Module, name: str, size: tuple[int, int], metadata: dict[str, str]
) -> bytes:
    """Return the content of an ONNX file of a network.

    Normalisations are folded into the convolutions before them. The batch size is left open.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode: (n, 3, h, w) float32 to logits (n, n_classes).
    name : str
        The model's name: ``architecture.tag``.
    size : (int, int)
        Height and width of its input.
    metadata : dict
        The metadata of the file.

    Raises
    ------
    InputError
        If the network has operators that ONNX lacks, or is too large for a single file.
    """
    model = onnx.load_model_from_string(_exported(network, name, size))
    model.graph.name = name
    _store_every_weight_once(model.graph)
    _rename(model.graph, name.partition(".")[0])
    try:
        return file_content(model, metadata)
    except ValueError as error:  # protobuf's limit of 2 GB
        raise InputError(f"{name}: is too large for a single file") from error


def torch_logits(network: nn.Module, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a network on an input (n, 3, h, w); return logits (n, n_classes)."""
    import torch

    with torch.no_grad():
        logits: NDArray[np.float32] = network(torch.from_numpy(x)).numpy()
    return logits


def _exported(network: nn.Module, name: str, size: tuple[int, int]) -> bytes:
    """Export a network with torch's exporter.

    The tracing exporter is used, since it names nodes after their modules, folds normalisations
    and needs no extra package.
    """
    import torch

    content: Any = io.BytesIO()  # the exporter accepts it, though its annotation does not say so
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # deprecation, and branches: the parity check covers it
            torch.onnx.export(
                network,
                (torch.zeros(1, 3, *size),),
                content,
                dynamo=False,
                opset_version=OPSET,
                input_names=["input"],
                output_names=["logits"],
                dynamic_axes={"input": {0: "n"}, "logits": {0: "n"}},
            )
    except Exception as error:  # the exporter raises many types
        detail = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"{name}: cannot be exported to ONNX: {detail}") from error
    return content.getvalue()


def _store_every_weight_once(graph: onnx.GraphProto) -> None:
    """Give each node its own copy of its weights.

    The exporter stores equal tensors once and shares them through Identity nodes. The graph would
    then depend on the weights: in an untrained network, for example, all biases are equal.
    """
    stored = {tensor.name: tensor for tensor in graph.initializer}
    shared = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Identity" and node.input[0] in stored
    }
    for copy, original in shared.items():
        tensor = graph.initializer.add()
        tensor.CopyFrom(stored[original])
        tensor.name = copy
    kept = [node for node in graph.node if node.output[0] not in shared]
    del graph.node[:]
    graph.node.extend(kept)


def _rename(graph: onnx.GraphProto, architecture: str) -> None:
    """Name nodes and weights after their modules, and tensors after their nodes."""
    names = [layer_name(architecture, node.name) for node in graph.node]
    if len({*names}) < len(names):
        return  # two nodes would share a name: keep the exporter's names, which are unique
    tensors = _tensor_names(graph, names)
    for node, name in zip(graph.node, names, strict=True):
        node.name = name
        node.input[:] = [tensors.get(tensor, tensor) for tensor in node.input]
        node.output[:] = [tensors.get(tensor, tensor) for tensor in node.output]
    for tensor in graph.initializer:
        tensor.name = tensors.get(tensor.name, tensor.name)
    weights = sorted(graph.initializer, key=lambda tensor: tensor.name)
    del graph.initializer[:]
    graph.initializer.extend(weights)
    del graph.value_info[:]


def _tensor_names(graph: onnx.GraphProto, names: list[str]) -> dict[str, str]:
    """New names for the tensors of a graph whose nodes get ``names``."""
    new: dict[str, str] = {}
    fixed = {value.name for value in (*graph.input, *graph.output)}
    anonymous = {tensor.name for tensor in graph.initializer if tensor.name.startswith("onnx::")}
    for node, name in zip(graph.node, names, strict=True):
        module = name.removesuffix(f"/{node.op_type}")
        for place, tensor in enumerate(node.input):
            if tensor in anonymous:
                role = {1: "weight", 2: "bias"}.get(place, str(place))
                new.setdefault(tensor, f"{module}.{role}")
        for place, tensor in enumerate(node.output):
            if tensor and tensor not in fixed:
                new[tensor] = name if place == 0 else f"{name}:{place}"
    return new
