"""Find the inner layers of ONNX graphs, and add them as outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx
from onnx import helper

from rsparse.errors import InputError
from rsparse.models.onnx.cam_head import find_cam_head
from rsparse.models.onnx.wiring import OWN, Wiring, attribute, copy_with_outputs, node_name

ACTIVATIONS = frozenset(
    (
        "Relu",
        "Clip",
        "LeakyRelu",
        "PRelu",
        "ThresholdedRelu",
        "Elu",
        "Celu",
        "Selu",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Swish",
        "Mish",
        "Softplus",
        "Softsign",
        "Tanh",
        "Gelu",
    )
)
_SHAPE_ONLY = frozenset(
    ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Cast", "Dropout",
     "Slice", "Softmax", "LogSoftmax")
)  # fmt: skip
_GATES = frozenset(
    ("Sigmoid", "HardSigmoid", "Clip", "Relu", "Tanh", "Softplus", "Add", "Mul", "Div", "Erf")
)


@dataclass(frozen=True)
class FeatureLayer:
    """A layer of the graph whose channels are feature detectors.

    Attributes
    ----------
    name : str
        The graph's name without the part that only names the operator (``mixed_1/join`` becomes
        ``mixed_1``).
    tensor : str
        The tensor to measure: a convolution's output after its normalisation and activation.
    channels : int
        Number of feature detectors.
    kind : {"conv", "join", "pool"}
        A convolution, a concatenation of convolutions, or the global pooling.
    index : int
        Depth: the number of convolutions up to and including this layer, in the graph's order.
    spatial : bool
        Whether the tensor still has a height and a width to take the maximum over.
    """

    name: str
    tensor: str
    channels: int
    kind: str
    index: int
    spatial: bool = True


def activation_layers(model: onnx.ModelProto, where: str = "model") -> list[FeatureLayer]:
    """All convolutions, concatenations of feature maps and the last global pooling, in order.

    The final classifier does not count as a layer, even if it is a 1×1 convolution.

    Raises
    ------
    InputError
        If the graph has no convolution.
    """
    wiring = Wiring(model.graph, model)
    skipped = _classifier_node(model, wiring)
    layers: list[FeatureLayer] = []
    convolutions = 0
    for node in model.graph.node:
        if node.op_type == "Conv" and node is not skipped:
            convolutions += 1
            layer = _convolution(model, wiring, node, convolutions)
            layers.extend([layer] if layer.channels else [])
        elif node.op_type == "Concat" and attribute(node, "axis") == 1:
            layers.extend(_join(model, wiring, node, convolutions))
    if not convolutions:
        raise InputError(f"{where}: has no convolutional layers, so no activations to measure")
    layers.extend(_pool(model, wiring, convolutions))
    return _with_unique_names(layers)


def _classifier_node(model: onnx.ModelProto, wiring: Wiring) -> onnx.NodeProto | None:
    node = wiring.producer.get(model.graph.output[0].name)
    while node is not None and (node.op_type in _SHAPE_ONLY or node.name.startswith(OWN)):
        node = wiring.producer.get(node.input[-1 if node.op_type == "Concat" else 0])
    return node


def _convolution(
    model: onnx.ModelProto, wiring: Wiring, node: onnx.NodeProto, index: int
) -> FeatureLayer:
    name = _short(node_name(node), ("Conv", "Conv2D", "convolution"))
    channels = _channels_of(model, wiring, node)
    return FeatureLayer(name, _after_activation(wiring, node.output[0]), channels, "conv", index)


def _channels_of(model: onnx.ModelProto, wiring: Wiring, node: onnx.NodeProto) -> int:
    """The channels of a convolution, whose weights may be computed; 0 if nothing tells them."""
    sizes = [wiring.constant_dims(name) for name in node.input[1:] if name]
    shape = wiring.shape(model, node.output[0]) or ()
    known = [*(dims[0] for dims in sizes if dims), *shape[1:2]]
    return next((n for n in known if n), 0)


def _after_activation(wiring: Wiring, tensor: str) -> str:
    """The tensor after a convolution's normalisation and activation.

    If other nodes also use the bare output (a residual sum, for example), that output is returned.
    """
    while True:
        consumers = wiring.consumers[tensor]
        gated = _gated(wiring, tensor, consumers)
        if gated is not None:
            return gated
        if len(consumers) != 1:
            return tensor
        node = consumers[0]
        if node.op_type in ACTIVATIONS and node.input[0] == tensor:
            return node.output[0]
        affine = node.op_type in ("Add", "Mul", "Sub", "Div")
        affine = affine and wiring.computed_inputs(node) == [tensor]
        if not affine and node.op_type != "BatchNormalization":
            return tensor
        tensor = node.output[0]


def _gated(wiring: Wiring, tensor: str, consumers: list[onnx.NodeProto]) -> str | None:
    """The output of ``x · gate(x)``, such as SiLU or hard swish written out, or ``None``."""
    if len(consumers) != 2:
        return None
    for product, gate in (consumers, consumers[::-1]):
        if product.op_type != "Mul" or tensor not in product.input:
            continue
        while gate is not product and gate.op_type in _GATES:
            followers = wiring.consumers[gate.output[0]]
            if len(followers) != 1:
                break
            gate = followers[0]
        if gate is product:
            return _scaled(wiring, product.output[0])
    return None


def _scaled(wiring: Wiring, tensor: str) -> str:
    """Skip a division by a constant, which ends the written-out hard swish of older exports."""
    consumers = wiring.consumers[tensor]
    scales = len(consumers) == 1 and consumers[0].op_type in ("Div", "Mul")
    if scales and wiring.computed_inputs(consumers[0]) == [tensor]:
        return consumers[0].output[0]
    return tensor


def _join(
    model: onnx.ModelProto, wiring: Wiring, node: onnx.NodeProto, convolutions: int
) -> list[FeatureLayer]:
    shape = wiring.shape(model, node.output[0])
    if shape is None or len(shape) != 4 or not shape[1] or not convolutions:
        return []
    name = _short(node_name(node), ("join", "concat", "Concat", "concatenate"))
    return [FeatureLayer(name, node.output[0], shape[1], "join", convolutions)]


def _pool(model: onnx.ModelProto, wiring: Wiring, convolutions: int) -> list[FeatureLayer]:
    try:
        head = find_cam_head(model)
    except InputError:
        return []  # no global pooling before the classifier
    node = wiring.producer[head.pooled]
    name = _short(node_name(node), ("GlobalAveragePool", "ReduceMean", "AveragePool"))
    channels = head.weights.shape[1]
    return [FeatureLayer(name, head.pooled, channels, "pool", convolutions, spatial=False)]


def _short(name: str, endings: tuple[str, ...]) -> str:
    name = name.strip("/")
    stem, slash, last = name.rpartition("/")
    return stem if slash and last in endings else name


def _with_unique_names(layers: list[FeatureLayer]) -> list[FeatureLayer]:
    counts = Counter(layer.name for layer in layers)
    return [
        layer if counts[layer.name] == 1 else replace(layer, name=layer.tensor.strip("/"))
        for layer in layers
    ]


def with_peaks(model: onnx.ModelProto, layers: Sequence[FeatureLayer]) -> onnx.ModelProto:
    """Return the model with the global maximum of every channel of ``layers`` as extra outputs.

    Each has shape (n, channels). They follow the model's own output, in the order of ``layers``.
    No feature map leaves the runtime.
    """
    nodes, outputs = [], []
    for number, layer in enumerate(layers):
        tensor, peak = layer.tensor, f"rsparse.peak.{number}"
        if layer.spatial:
            nodes.append(
                helper.make_node("GlobalMaxPool", [tensor], [f"{peak}.map"], name=f"{peak}.map")
            )
            tensor = f"{peak}.map"
        nodes.append(helper.make_node("Flatten", [tensor], [peak], name=peak, axis=1))
        outputs.append(peak)
    return copy_with_outputs(model, nodes, outputs)
