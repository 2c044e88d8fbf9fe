"""Surgery on ONNX graphs: logits instead of probabilities, and layers tapped as extra outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx
from onnx import helper

from rsparse.errors import InputError
from rsparse.models.onnx.cam_head import find_cam_head
from rsparse.models.onnx.wiring import Wiring, attribute, copy_with_outputs, title

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
    ("Flatten", "Reshape", "Squeeze", "Identity", "Dropout", "Slice", "Softmax", "LogSoftmax")
)
_GATES = frozenset(
    ("Sigmoid", "HardSigmoid", "Clip", "Relu", "Tanh", "Softplus", "Add", "Mul", "Div", "Erf")
)


def without_softmax(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a softmax or log-softmax at its end passed through.

    The model itself is returned where it ends in neither.
    """
    wiring = Wiring(model.graph)
    node = wiring.producer.get(model.graph.output[0].name)
    while node is not None and node.op_type in ("Identity", "Flatten", "Reshape", "Squeeze"):
        node = wiring.producer.get(node.input[0])
    if node is None or node.op_type not in ("Softmax", "LogSoftmax"):
        return model
    at = list(model.graph.node).index(node)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    passed = helper.make_node("Identity", node.input[:1], node.output[:1], name=node.name)
    changed.graph.node[at].CopyFrom(passed)
    return changed


@dataclass(frozen=True)
class Layer:
    """A place in the graph whose channels are feature detectors.

    Attributes
    ----------
    name : str
        As the graph names it, without what only says the operator (``mixed_1/join`` is
        ``mixed_1``).
    tensor : str
        What is tapped: a convolution's output after its normalisation and activation.
    channels : int
        Number of feature detectors.
    kind : {"conv", "join", "pool"}
        A convolution, a concatenation of convolutions, or the global pooling.
    index : int
        Depth: convolutions up to and including this layer, in the graph's order, from 1.
    spatial : bool
        Whether the tensor still has a height and a width to take the maximum over.
    """

    name: str
    tensor: str
    channels: int
    kind: str
    index: int
    spatial: bool = True


def activation_layers(model: onnx.ModelProto, where: str = "model") -> list[Layer]:
    """Every convolution, concatenation of feature maps and the last global pooling, in order.

    The classifier itself, also where it is a 1×1 convolution, is no layer.

    Raises
    ------
    InputError
        If the graph has no convolution.
    """
    wiring = Wiring(model.graph)
    skipped = _classifier_node(model, wiring)
    layers: list[Layer] = []
    convolutions = 0
    for node in model.graph.node:
        if node.op_type == "Conv" and node is not skipped:
            convolutions += 1
            layers.append(_convolution(model, wiring, node, convolutions))
        elif node.op_type == "Concat" and attribute(node, "axis") == 1:
            layers.extend(_join(model, wiring, node, convolutions))
    if not convolutions:
        raise InputError(f"{where}: has no convolutional layer whose activation could be measured")
    layers.extend(_pool(model, wiring, convolutions))
    return _with_unique_names(layers)


def _classifier_node(model: onnx.ModelProto, wiring: Wiring) -> onnx.NodeProto | None:
    node = wiring.producer.get(model.graph.output[0].name)
    while node is not None and node.op_type in _SHAPE_ONLY:
        node = wiring.producer.get(node.input[0])
    return node


def _convolution(model: onnx.ModelProto, wiring: Wiring, node: onnx.NodeProto, index: int) -> Layer:
    weights = wiring.stored(node.input[1])
    shape = wiring.shape(model, node.output[0]) or (None, None)
    channels = shape[1] if weights is None else weights.dims[0]
    name = _short(title(node), ("Conv", "Conv2D", "convolution"))
    return Layer(name, _after_activation(wiring, node.output[0]), channels or 0, "conv", index)


def _after_activation(wiring: Wiring, tensor: str) -> str:
    """The tensor behind a convolution's normalisation and activation, as far as it is its own.

    Where other nodes also take the bare output (a residual sum, say), that output is tapped.
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
    """The output of ``x · gate(x)``, such as SiLU or hard swish spelled out, or ``None``."""
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
    """Past a division by a constant, which ends the spelled-out hard swish of older exports."""
    consumers = wiring.consumers[tensor]
    scales = len(consumers) == 1 and consumers[0].op_type in ("Div", "Mul")
    if scales and wiring.computed_inputs(consumers[0]) == [tensor]:
        return consumers[0].output[0]
    return tensor


def _join(
    model: onnx.ModelProto, wiring: Wiring, node: onnx.NodeProto, convolutions: int
) -> list[Layer]:
    shape = wiring.shape(model, node.output[0])
    if shape is None or len(shape) != 4 or not shape[1] or not convolutions:
        return []
    name = _short(title(node), ("join", "concat", "Concat", "concatenate"))
    return [Layer(name, node.output[0], shape[1], "join", convolutions)]


def _pool(model: onnx.ModelProto, wiring: Wiring, convolutions: int) -> list[Layer]:
    try:
        head = find_cam_head(model)
    except InputError:
        return []  # without a global pooling before the classifier
    node = wiring.producer[head.pooled]
    name = _short(title(node), ("GlobalAveragePool", "ReduceMean", "AveragePool"))
    channels = head.weights.shape[1]
    return [Layer(name, head.pooled, channels, "pool", convolutions, spatial=False)]


def _short(name: str, endings: tuple[str, ...]) -> str:
    name = name.strip("/")
    stem, slash, last = name.rpartition("/")
    return stem if slash and last in endings else name


def _with_unique_names(layers: list[Layer]) -> list[Layer]:
    counts = Counter(layer.name for layer in layers)
    return [
        layer if counts[layer.name] == 1 else replace(layer, name=layer.tensor.strip("/"))
        for layer in layers
    ]


def with_peaks(model: onnx.ModelProto, layers: Sequence[Layer]) -> onnx.ModelProto:
    """The model with the global maximum of every channel of ``layers`` as further outputs.

    Each is (n, channels), in the order of ``layers`` and after the model's own output, so that
    no feature map leaves the runtime.
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
