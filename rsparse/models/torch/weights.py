"""The weights of a graph and of its torch twin: which is which, and from one to the other.

onnx2torch makes one module for each node, in the graph's order, so a weight's place in the twin
follows from its node. That is not taken on trust: each pair is compared when it is found.
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
from rsparse.models.onnx.wiring import Wiring, attribute, title
from rsparse.models.torch.twin import Twin

Weights = dict[str, NDArray[np.float32]]

LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")
NORMALISING = ("BatchNormalization", "InstanceNormalization", "LayerNormalization")
_STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class Place:
    """Where the twin keeps a tensor that the graph stores.

    The twin's tensor is the stored one, transposed where told, times ``scale``.
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
        """Whether it follows the images instead of a gradient."""
        return self.attribute in _STATISTICS

    def as_stored(self) -> NDArray[np.float32]:
        """The twin's tensor as the graph stores it."""
        tensor = self.tensor.detach().cpu()
        found = (tensor.T if self.transposed else tensor).contiguous().numpy()
        return found if self.scale == 1 else (found / np.float32(self.scale)).astype(np.float32)


@dataclass(frozen=True)
class Layer:
    """A node with weights: its name, its operator, and where its weights are."""

    name: str
    kind: str
    places: tuple[Place, ...]


def find_layers(classifier: Classifier, twin: Twin) -> list[Layer]:
    """The layers whose weights can be trained, in the graph's order.

    Those are convolutions, linear maps with the sum after them, and normalisations. Other
    constants, such as an input's scaling, stay as they are.

    Raises
    ------
    InputError
        If a weight of the twin is not the one that the graph stores.
    """
    graph = classifier.graph.graph
    calls = [node for node in twin.network.graph.nodes if node.op == "call_module"]  # type: ignore[union-attr]
    if len(calls) != len(graph.node):
        raise InputError(f"{classifier.path}: its torch twin has other nodes than the graph")
    reader = _Reader(graph, twin.network)
    layers = [
        Layer(title(node), node.op_type, places)
        for node, call in zip(graph.node, calls, strict=True)
        if (places := tuple(reader.places(node, call)))
    ]
    for place in (place for layer in layers for place in layer.places):
        rounding = 0 if place.scale == 1 else 1e-6
        stored = reader.values[place.stored]
        if not np.allclose(place.as_stored(), stored, rtol=rounding, atol=0, equal_nan=True):
            raise InputError(
                f"{classifier.path}: cannot be retrained: its torch twin has other weights "
                f"{place.stored!r}"
            )
    return layers


class _Reader:
    """Finds the weights of nodes."""

    def __init__(self, graph: onnx.GraphProto, network: nn.Module) -> None:
        self.network = network
        self.wiring = Wiring(graph)
        self.values = {
            tensor.name: numpy_helper.to_array(tensor)
            for tensor in graph.initializer
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 0
        }

    def places(self, node: onnx.NodeProto, call: fx.Node) -> Iterator[Place]:
        """Where the weights of a node are; none for a node without any."""
        if node.op_type not in (*LINEAR, *NORMALISING) and not self._is_bias(node):
            return
        module = self.network.get_submodule(str(call.target))
        if isinstance(module, nn.Sequential):  # a padding that torch has no word for, before it
            module = module[-1]
        if isinstance(getattr(module, "weight", None), torch.Tensor):
            yield from self._of_module(node, module)
        else:
            yield from self._of_arguments(node, call)

    def _of_module(self, node: onnx.NodeProto, module: nn.Module) -> Iterator[Place]:
        is_gemm = node.op_type == "Gemm"
        scales = {name: float(attribute(node, name, 1.0)) for name in ("alpha", "beta")}
        names = ("weight", "bias", *_STATISTICS)
        for stored, name in zip(node.input[1:], names, strict=False):
            if stored in self.values:
                is_weight = name == "weight"
                transposed = is_gemm and is_weight and not attribute(node, "transB", 0)
                scale = scales["alpha" if is_weight else "beta"] if is_gemm else 1.0
                yield Place(stored, module, name, transposed, scale)

    def _of_arguments(self, node: onnx.NodeProto, call: fx.Node) -> Iterator[Place]:
        if node.op_type in NORMALISING:
            return  # its statistics are computed in the graph
        for stored, argument in zip(node.input, call.args, strict=False):
            if not isinstance(argument, fx.Node) or argument.op != "get_attr":
                continue
            if stored in self.values:
                owner, _, name = str(argument.target).rpartition(".")
                yield Place(stored, self.network.get_submodule(owner), name)

    def _is_bias(self, node: onnx.NodeProto) -> bool:
        """Whether a node adds stored numbers to what a linear layer gives."""
        computed = self.wiring.computed_inputs(node)
        before = self.wiring.producer.get(computed[0]) if len(computed) == 1 else None
        return node.op_type == "Add" and before is not None and before.op_type in LINEAR


def choose_layers(layers: list[Layer], wanted: str, batch_norm: bool, where: str) -> list[Layer]:
    """The layers that are to be trained.

    Parameters
    ----------
    layers : list of Layer
    wanted : str
        ``all``, ``head`` (the last linear layer with the sum after it), or names with ``*`` and
        ``?``, separated by commas.
    batch_norm : bool
        Whether batch normalisations are among them.
    where : str
        The model's file, for messages.

    Raises
    ------
    InputError
        If no layer is left, or a name fits none.
    """
    free = [one for one in layers if batch_norm or one.kind != "BatchNormalization"]
    if not free:
        raise InputError(f"{where}: has no layer that could be trained")
    if wanted == "all":
        return free
    if wanted == "head":
        heads = [number for number, one in enumerate(free) if one.kind in LINEAR]
        return free[heads[-1] :] if heads else free[-1:]
    chosen = set()
    for pattern in (word.strip() for word in wanted.split(",")):
        fitting = {one.name for one in free if fnmatchcase(one.name, pattern)}
        if not fitting:
            some = ", ".join(one.name for one in free[-3:])
            raise InputError(
                f"layers: expected all, head or names of layers, got {pattern!r}; "
                f"the last layers of {where} are {some}"
            )
        chosen |= fitting
    return [one for one in free if one.name in chosen]


class Trainable:
    """A twin some of whose weights can change.

    Attributes
    ----------
    twin : Twin
        In evaluation mode but for the batch normalisations that are trained.
    layers : list of Layer
        Those that are trained.
    parameters : dict of str to Parameter
        What has a gradient, by the name under which the graph stores it.
    statistics : dict of str to Tensor
        What follows the images: means and variances of trained batch normalisations.
    """

    def __init__(self, twin: Twin, layers: list[Layer], chosen: list[Layer]) -> None:
        self.twin, self.layers = twin, chosen
        self._everywhere: dict[str, list[Place]] = defaultdict(list)
        for place in (place for layer in layers for place in layer.places):
            self._everywhere[place.stored].append(place)
        names = dict.fromkeys(place.stored for layer in chosen for place in layer.places)
        self._first = {name: self._everywhere[name][0] for name in names}
        self.parameters = {
            name: self._free(name) for name, place in self._first.items() if not place.is_statistic
        }
        self._batch_norms = [p.owner for p in self._first.values() if p.attribute == "running_mean"]
        self.let_statistics_follow(True)

    @property
    def statistics(self) -> dict[str, torch.Tensor]:
        """Means and variances that follow the images, by their names in the graph."""
        return {name: place.tensor for name, place in self._first.items() if place.is_statistic}

    @property
    def has_statistics(self) -> bool:
        """Whether the images of a step are seen together by batch normalisations."""
        return bool(self._batch_norms)

    def let_statistics_follow(self, follow: bool) -> None:
        """Let trained batch normalisations use and gather the images' statistics, or their own."""
        for module in self._batch_norms:
            module.train(follow)

    def _free(self, name: str) -> nn.Parameter:
        """Make one parameter of a stored tensor, wherever the twin uses it."""
        places = self._everywhere[name]
        if len({(place.transposed, place.scale) for place in places}) > 1:
            raise InputError(f"weights {name!r} are used in two ways and cannot be trained")
        free = nn.Parameter(places[0].tensor.detach().clone())
        for place in places:
            place.owner._buffers.pop(place.attribute, None)
            place.owner.register_parameter(place.attribute, free)
        return free

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that training changes, by the names in the graph; not copied."""
        return {**{n: p.detach() for n, p in self.parameters.items()}, **self.statistics}

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put values into the twin, by the names of ``tensors()``."""
        with torch.no_grad():
            for name, tensor in self.tensors().items():
                tensor.copy_(tensors[name])

    def weights(self) -> Weights:
        """All that training changes, as the graph stores it."""
        return {name: place.as_stored() for name, place in self._first.items()}


def with_weights(file: OnnxFile, weights: Mapping[str, NDArray[Any]]) -> OnnxFile:
    """The same model with other values in some of its stored tensors.

    Those that do not change keep their bytes. ``sha256`` stays that of the file it was read from.

    Raises
    ------
    InputError
        If a value is no finite number.
    """
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    for tensor in model.graph.initializer:
        new = weights.get(tensor.name)
        if new is None or np.array_equal(new, numpy_helper.to_array(tensor)):
            continue
        if not np.isfinite(new).all():
            raise InputError(f"weights {tensor.name!r} are no finite numbers any more")
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(new), tensor.name))
    return dataclasses.replace(file, model=model)
