"""Match the weights of a graph with those of its torch twin, and copy them in both directions.

onnx2torch makes one module for each node, in the graph's order, so a weight's location in the
twin follows from its node. Each pair of weights is compared to verify this.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import fx, nn

from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.onnx.file import OnnxFile
from rsparse.models.onnx.wiring import Wiring, attribute, node_name
from rsparse.models.torch.twin import Twin

WeightArrays = dict[str, NDArray[np.float32]]

LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")
NORMALISING = ("BatchNormalization", "InstanceNormalization", "LayerNormalization")
_STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class WeightLocation:
    """Where the twin keeps a tensor that the graph stores.

    The twin's tensor is the stored one times ``scale``, and transposed if ``transposed`` is set.
    """

    stored: str
    owner: nn.Module
    attribute: str
    transposed: bool = False
    scale: float = 1.0

    @property
    def tensor(self) -> torch.Tensor:
        """The tensor in the twin."""
        found: torch.Tensor = getattr(self.owner, self.attribute)
        return found

    @property
    def is_statistic(self) -> bool:
        """Whether it is updated from the images instead of by a gradient."""
        return self.attribute in _STATISTICS

    def as_stored(self) -> NDArray[np.float32]:
        """The twin's tensor as the graph stores it."""
        tensor = self.tensor.detach().cpu()
        found = (tensor.T if self.transposed else tensor).contiguous().numpy()
        return found if self.scale == 1 else (found / np.float32(self.scale)).astype(np.float32)


@dataclass(frozen=True)
class TrainableLayer:
    """A node with weights: its name, its operator, and the locations of its weights."""

    name: str
    kind: str
    locations: tuple[WeightLocation, ...]


def find_layers(classifier: Classifier, twin: Twin) -> list[TrainableLayer]:
    """Find the layers whose weights can be trained, in the graph's order.

    These are convolutions, linear layers with the bias added after them, and normalisations.
    Other constants, such as the scaling of the input, do not count.

    Raises
    ------
    InputError
        If a weight of the twin differs from the one that the graph stores.
    """
    graph = classifier.graph.graph
    calls = [node for node in twin.network.graph.nodes if node.op == "call_module"]  # type: ignore[union-attr]
    if len(calls) != len(graph.node):
        raise InputError(f"{classifier.path}: its torch twin and its graph differ in their nodes")
    reader = _Reader(graph, twin.network)
    layers = [
        TrainableLayer(node_name(node), node.op_type, locations)
        for node, call in zip(graph.node, calls, strict=True)
        if (locations := tuple(reader.locations(node, call)))
    ]
    for location in (location for layer in layers for location in layer.locations):
        rounding = 0 if location.scale == 1 else 1e-6
        stored = reader.values[location.stored]
        if not np.allclose(location.as_stored(), stored, rtol=rounding, atol=0, equal_nan=True):
            raise InputError(
                f"{classifier.path}: cannot be retrained: its torch twin has different weights "
                f"{location.stored!r}"
            )
    return layers


class _Reader:
    """Finds the locations of weights, node by node."""

    def __init__(self, graph: onnx.GraphProto, network: nn.Module) -> None:
        self.network = network
        self.wiring = Wiring(graph)
        self.values = {
            tensor.name: numpy_helper.to_array(tensor)
            for tensor in graph.initializer
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 0
        }

    def locations(self, node: onnx.NodeProto, call: fx.Node) -> Iterator[WeightLocation]:
        """The locations of a node's weights; none if it has no weights."""
        if node.op_type not in (*LINEAR, *NORMALISING) and not self._is_bias(node):
            return
        module = self.network.get_submodule(str(call.target))
        if isinstance(module, nn.Sequential):  # preceded by a padding that torch does not support
            module = module[-1]
        if isinstance(getattr(module, "weight", None), torch.Tensor):
            yield from self._of_module(node, module)
        else:
            yield from self._of_arguments(node, call)

    def _of_module(self, node: onnx.NodeProto, module: nn.Module) -> Iterator[WeightLocation]:
        is_gemm = node.op_type == "Gemm"
        scales = {name: float(attribute(node, name, 1.0)) for name in ("alpha", "beta")}
        names = ("weight", "bias", *_STATISTICS)
        for stored, name in zip(node.input[1:], names, strict=False):
            if stored in self.values:
                is_weight = name == "weight"
                transposed = is_gemm and is_weight and not attribute(node, "transB", 0)
                scale = scales["alpha" if is_weight else "beta"] if is_gemm else 1.0
                yield WeightLocation(stored, module, name, transposed, scale)

    def _of_arguments(self, node: onnx.NodeProto, call: fx.Node) -> Iterator[WeightLocation]:
        if node.op_type in NORMALISING:
            return  # its statistics are computed in the graph
        for stored, argument in zip(node.input, call.args, strict=False):
            if not isinstance(argument, fx.Node) or argument.op != "get_attr":
                continue
            if stored in self.values:
                owner, _, name = str(argument.target).rpartition(".")
                yield WeightLocation(stored, self.network.get_submodule(owner), name)

    def _is_bias(self, node: onnx.NodeProto) -> bool:
        """Whether a node adds stored numbers to the output of a linear layer."""
        computed = self.wiring.computed_inputs(node)
        before = self.wiring.producer.get(computed[0]) if len(computed) == 1 else None
        return node.op_type == "Add" and before is not None and before.op_type in LINEAR


def choose_layers(
    layers: list[TrainableLayer], choice: str, batch_norm: bool, where: str
) -> list[TrainableLayer]:
    """Choose the layers to train.

    Parameters
    ----------
    layers : list of TrainableLayer
    choice : str
        ``all``, ``head`` (the last linear layer with its bias), or names with ``*`` and ``?``,
        separated by commas.
    batch_norm : bool
        Whether to train batch normalisations too.
    where : str
        The model's file, for messages.

    Raises
    ------
    InputError
        If no layer is left, or a name matches none.
    """
    free = [one for one in layers if batch_norm or one.kind != "BatchNormalization"]
    if not free:
        raise InputError(f"{where}: has no layers that can be trained")
    if choice == "all":
        return free
    if choice == "head":
        heads = [number for number, one in enumerate(free) if one.kind in LINEAR]
        return free[heads[-1] :] if heads else free[-1:]
    chosen = set()
    for pattern in (word.strip() for word in choice.split(",")):
        fitting = {one.name for one in free if fnmatchcase(one.name, pattern)}
        if not fitting:
            some = ", ".join(one.name for one in free[-3:])
            raise InputError(
                f"train-layers: expected all, head or layer names, got {pattern!r}; "
                f"the last layers of {where} are {some}"
            )
        chosen |= fitting
    return [one for one in free if one.name in chosen]


class Trainable:
    """A twin with some trainable weights.

    Attributes
    ----------
    twin : Twin
        In evaluation mode, except for the batch normalisations that are trained.
    layers : list of TrainableLayer
        The layers that are trained.
    parameters : dict of str to Parameter
        The tensors with a gradient, by their names in the graph.
    statistics : dict of str to Tensor
        The means and variances of the trained batch normalisations.
    """

    def __init__(
        self, twin: Twin, layers: list[TrainableLayer], chosen: list[TrainableLayer]
    ) -> None:
        self.twin, self.layers = twin, chosen
        self._everywhere: dict[str, list[WeightLocation]] = defaultdict(list)
        for location in (location for layer in layers for location in layer.locations):
            self._everywhere[location.stored].append(location)
        names = dict.fromkeys(location.stored for layer in chosen for location in layer.locations)
        self._first = {name: self._everywhere[name][0] for name in names}
        self.parameters = {
            name: self._free(name)
            for name, location in self._first.items()
            if not location.is_statistic
        }
        self._batch_norms = [p.owner for p in self._first.values() if p.attribute == "running_mean"]
        self.use_batch_statistics(True)

    @property
    def statistics(self) -> dict[str, torch.Tensor]:
        """Means and variances of trained batch normalisations, by their names in the graph."""
        return {
            name: location.tensor for name, location in self._first.items() if location.is_statistic
        }

    @property
    def has_statistics(self) -> bool:
        """Whether batch normalisations are trained, so that a step needs all images at once."""
        return bool(self._batch_norms)

    def use_batch_statistics(self, enabled: bool) -> None:
        """Let trained batch normalisations use and record the batch's statistics, or their own."""
        for module in self._batch_norms:
            module.train(enabled)

    def _free(self, name: str) -> nn.Parameter:
        """Turn a stored tensor into one parameter, wherever the twin uses it."""
        locations = self._everywhere[name]
        if len({(location.transposed, location.scale) for location in locations}) > 1:
            raise InputError(f"weights {name!r} are used in two ways, so they cannot be trained")
        free = nn.Parameter(locations[0].tensor.detach().clone())
        for location in locations:
            location.owner._buffers.pop(location.attribute, None)
            location.owner.register_parameter(location.attribute, free)
        return free

    def tensors(self) -> dict[str, torch.Tensor]:
        """All tensors that training changes, by their names in the graph; not copied."""
        return {**{n: p.detach() for n, p in self.parameters.items()}, **self.statistics}

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Set the twin's tensors, by the names of ``tensors()``."""
        with torch.no_grad():
            for name, tensor in self.tensors().items():
                tensor.copy_(tensors[name])

    def weights(self) -> WeightArrays:
        """All tensors that training changes, as the graph stores them."""
        return {name: location.as_stored() for name, location in self._first.items()}


def with_weights(file: OnnxFile, weights: Mapping[str, NDArray[Any]]) -> OnnxFile:
    """Return the same model with new values in some of its stored tensors.

    Tensors that do not change keep their bytes. ``sha256`` remains that of the original file.

    Raises
    ------
    InputError
        If a value is not finite.
    """
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    for tensor in model.graph.initializer:
        new = weights.get(tensor.name)
        if new is None or np.array_equal(new, numpy_helper.to_array(tensor)):
            continue
        if not np.isfinite(new).all():
            raise InputError(f"weights {tensor.name!r} are no longer finite numbers")
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(new), tensor.name))
    return dataclasses.replace(file, model=model)
