"""Find the weights of a graph in its torch twin, and copy them in both directions.

The twin holds each stored tensor once, under one name, so a weight of the twin is the file's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.onnx.file import OnnxFile
from rsparse.models.onnx.wiring import Wiring, attribute, node_name
from rsparse.models.torch.conversion import MODULES, STORED
from rsparse.models.torch.functions import with_functions_expanded
from rsparse.models.torch.twin import Twin

WeightArrays = dict[str, NDArray[np.float32]]

LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")
NORMALISING = (
    "BatchNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "RMSNormalization",
)
_VIEWS = ("Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")


@dataclass(frozen=True)
class TrainableLayer:
    """A node with weights.

    Attributes
    ----------
    name : str
    kind : str
        Its operator.
    weights : tuple of str
        Stored tensors that a gradient changes.
    statistics : tuple of str
        Stored tensors that training images change: the mean and variance of a batch normalisation.
    module : Module or None
        The twin's batch normalisation.
    """

    name: str
    kind: str
    weights: tuple[str, ...]
    statistics: tuple[str, ...] = ()
    module: nn.Module | None = None


def find_layers(classifier: Classifier, twin: Twin) -> list[TrainableLayer]:
    """Find the layers whose weights can be trained, in the graph's order.

    These are convolutions, linear layers with the bias added after them, and normalisations.
    Other constants, such as the scaling of the input, do not count.
    """
    graph = with_functions_expanded(classifier.graph).graph
    found = _Weights(graph, twin)
    layers = (found.layer(node) for node in graph.node)
    return [layer for layer in layers if layer is not None]


class _Weights:
    """Finds the weights of nodes."""

    def __init__(self, graph: onnx.GraphProto, twin: Twin) -> None:
        self.twin = twin
        self.wiring = Wiring(graph)
        self.stored = {
            tensor.name
            for tensor in graph.initializer
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 0
        }

    def layer(self, node: onnx.NodeProto) -> TrainableLayer | None:
        """The layer of a node, or ``None`` if it has no weights."""
        if node.op_type in NORMALISING:
            names = [name for name in map(self.origin, node.input[1:]) if name]
        elif node.op_type in LINEAR or self._adds_bias(node):
            names = [name for name in map(self.origin, node.input) if name]
        else:
            return None
        if not names:
            return None
        if node.op_type != "BatchNormalization":
            return TrainableLayer(node_name(node), node.op_type, tuple(dict.fromkeys(names)))
        if attribute(node, "training_mode", 0):
            return TrainableLayer(node_name(node), node.op_type, tuple(names[:2]))
        statistics = tuple(name for name in map(self.origin, node.input[3:5]) if name)
        weights = tuple(name for name in names if name not in statistics)
        place = self.twin.network.meta[MODULES][node.output[0]]
        module = self.twin.network.get_submodule(place) if statistics else None
        return TrainableLayer(node_name(node), node.op_type, weights, statistics, module)

    def origin(self, name: str) -> str | None:
        """The stored tensor that a tensor is, or is a view of; ``None`` for others."""
        while name not in self.stored:
            node = self.wiring.producer.get(name)
            if node is None or node.op_type not in _VIEWS:
                return None
            name = node.input[0]
        return name

    def _adds_bias(self, node: onnx.NodeProto) -> bool:
        """Whether a node adds stored numbers to the output of a linear layer."""
        if node.op_type != "Add":
            return False
        computed = [name for name in node.input if self.origin(name) is None]
        before = self.wiring.producer.get(computed[0]) if len(computed) == 1 else None
        return before is not None and before.op_type in LINEAR


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

    def __init__(self, twin: Twin, layers: list[TrainableLayer]) -> None:
        self.twin, self.layers = twin, layers
        self._buffers: dict[str, str] = twin.network.meta[STORED]
        names = dict.fromkeys(name for one in layers for name in (*one.weights, *one.statistics))
        statistics = {name for one in layers for name in one.statistics}
        self._names = list(names)
        self.parameters = {name: self._free(name) for name in names if name not in statistics}
        self._statistics = [name for name in names if name in statistics]
        self._batch_norms = [one.module for one in layers if one.module is not None]
        self.use_batch_statistics(True)

    @property
    def statistics(self) -> dict[str, torch.Tensor]:
        """Means and variances of trained batch normalisations, by their names in the graph."""
        return {name: self._tensor(name) for name in self._statistics}

    @property
    def has_statistics(self) -> bool:
        """Whether batch normalisations are trained, so that a step needs all images at once."""
        return bool(self._batch_norms)

    def use_batch_statistics(self, enabled: bool) -> None:
        """Let trained batch normalisations use and record the batch's statistics, or their own."""
        for module in self._batch_norms:
            module.train(enabled)

    def _tensor(self, name: str) -> torch.Tensor:
        tensor: torch.Tensor = getattr(self.twin.network, self._buffers[name])
        return tensor

    def _free(self, name: str) -> nn.Parameter:
        """Turn a stored tensor into a parameter."""
        network, buffer = self.twin.network, self._buffers[name]
        parameter = nn.Parameter(self._tensor(name).detach().clone())
        del network._buffers[buffer]
        network.register_parameter(buffer, parameter)
        return parameter

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
        return {
            name: self._tensor(name).detach().cpu().contiguous().numpy() for name in self._names
        }


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
