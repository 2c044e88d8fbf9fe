"""Find the feature maps and weights for class activation maps in an ONNX graph.

Zhou et al. 2016 explain a class by the last feature maps before global average pooling, weighted
by the classifier's row for that class. Both are read from the graph, without any gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
from numpy.typing import NDArray

from rsparse.errors import InputError
from rsparse.models.onnx.wiring import (
    Wiring,
    as_numbers,
    attribute,
    copy_with_outputs,
    node_text,
)

Matrix = NDArray[np.float32]
_RESHAPING = frozenset(
    ("Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Dropout")
)
_AFTER_SCORES = _RESHAPING | {"Softmax", "LogSoftmax"}
_EXPECTED = (
    "expected global average pooling followed by one linear layer "
    "(Gemm, MatMul or 1×1 Conv) before the class scores"
)


@dataclass(frozen=True)
class CamHead:
    """The end of a classifier: global pooling and a linear layer that gives the class scores.

    Attributes
    ----------
    features : str
        Tensor of the last feature maps, (n, channels, h, w).
    pooled : str
        Tensor of their spatial means; (n, channels) when flattened.
    weights : ndarray of shape (outputs, channels), float32
    bias : ndarray of shape (outputs,), float32
        ``scores = pooled @ weights.T + bias`` are the graph's outputs before the softmax, if any.
    """

    features: str
    pooled: str
    weights: Matrix
    bias: Matrix


def find_cam_head(model: onnx.ModelProto, where: str = "model") -> CamHead:
    """Find the features and the weights for class activation maps.

    The linear layer may be a Gemm, a MatMul with an Add, or a 1×1 convolution. It may be missing
    if the pooled maps are the scores themselves. If a Slice after it drops a background class,
    the same rows are dropped from the weights.

    Raises
    ------
    InputError
        If the graph ends differently.
    """
    wiring = Wiring(model.graph, model)
    tensor, later = _past_scores(wiring, model.graph.output[0].name)
    tensor, weights, bias = _linear(wiring, tensor, where)
    while (node := wiring.producer.get(tensor)) is not None and node.op_type in _RESHAPING:
        tensor = node.input[0]
    if node is None or not _pools_globally(model, wiring, node):
        raise InputError(
            f"{where}: {_EXPECTED}, found {node_text(node)} where the pooling should be"
        )
    features = _channels_first(wiring, node)
    channels = (wiring.shape(model, features) or (None, None))[1]
    if weights is None or bias is None:
        if channels is None:
            raise InputError(f"{where}: {_EXPECTED}, found no linear layer")
        weights, bias = np.eye(channels, dtype=np.float32), np.zeros(channels, np.float32)
    if channels is not None and weights.shape[1] != channels:
        raise InputError(
            f"{where}: {_EXPECTED}, found {channels} feature maps "
            f"and weights for {weights.shape[1]}"
        )
    for step in reversed(later):
        weights, bias = step(weights, bias)
    return CamHead(features, node.output[0], weights, bias)


def with_features(model: onnx.ModelProto, head: CamHead) -> onnx.ModelProto:
    """Return the model with its last feature maps as a second output."""
    return copy_with_outputs(model, [], [head.features])


_Step = Callable[[Matrix, Matrix], tuple[Matrix, Matrix]]


def _past_scores(wiring: Wiring, tensor: str) -> tuple[str, list[_Step]]:
    """Walk back from the output to the linear layer; collect what changes its rows on the way."""
    steps: list[_Step] = []
    while (node := wiring.producer.get(tensor)) is not None:
        if node.op_type in _AFTER_SCORES:
            tensor = node.input[0]
        elif node.op_type == "Concat" and (logit := _of_two_classes(wiring, node)) is not None:
            steps.append(_with_zero)
            tensor = logit
        elif node.op_type == "Slice" and (rows := _sliced_rows(wiring, node)) is not None:
            steps.append(partial(_keep, rows))
            tensor = node.input[0]
        elif node.op_type == "Add" and len(wiring.computed_inputs(node)) == 1:
            computed = wiring.computed_inputs(node)[0]
            stored = [name for name in node.input if name != computed]
            added = as_numbers(wiring.constant(stored[0]))
            if added is None or added.size not in (1, *added.shape[-1:]):
                break
            steps.append(partial(_shift, added.reshape(-1)))
            tensor = computed
        else:
            break
    return tensor, steps


def _of_two_classes(wiring: Wiring, node: onnx.NodeProto) -> str | None:
    """The tensor z if a Concat gives (z − z, z), the logits of two classes from one output."""
    zero = wiring.producer.get(node.input[0])
    logit = node.input[-1]
    is_zero = zero is not None and zero.op_type == "Sub" and {*zero.input} == {logit}
    return logit if is_zero and len(node.input) == 2 else None


def _with_zero(weights: Matrix, bias: Matrix) -> tuple[Matrix, Matrix]:
    return np.concatenate([0 * weights, weights]), np.concatenate([0 * bias, bias])


def _keep(rows: slice, weights: Matrix, bias: Matrix) -> tuple[Matrix, Matrix]:
    return weights[rows], bias[rows]


def _shift(added: Matrix, weights: Matrix, bias: Matrix) -> tuple[Matrix, Matrix]:
    return weights, bias + added


def _sliced_rows(wiring: Wiring, node: onnx.NodeProto) -> slice | None:
    """The classes that a Slice keeps; ``None`` if it slices anything but classes."""
    starts = wiring.list_argument(node, "starts", 1)
    ends = wiring.list_argument(node, "ends", 2)
    axes = wiring.list_argument(node, "axes", 3) or [0]
    steps = wiring.list_argument(node, "steps", 4) or [1]
    if starts is None or ends is None or len(starts) != 1 or axes[0] not in (1, -1):
        return None
    return slice(starts[0], ends[0], steps[0]) if steps[0] > 0 else None


def _linear(wiring: Wiring, tensor: str, where: str) -> tuple[str, Matrix | None, Matrix | None]:
    """The input, weights (outputs, channels) and bias of the linear layer that makes a tensor.

    If a pooling makes it, the tensor itself and no weights.
    """
    node = wiring.producer.get(tensor)
    if node is None:
        raise InputError(f"{where}: {_EXPECTED}, found none")
    if node.op_type in ("GlobalAveragePool", "ReduceMean", "AveragePool"):
        return tensor, None, None
    stored = as_numbers(wiring.constant(node.input[1])) if len(node.input) > 1 else None
    linear = None if stored is None else _weights_and_bias(wiring, node, stored)
    if linear is None:
        raise InputError(
            f"{where}: {_EXPECTED}, found {node_text(node)} where the linear layer should be"
        )
    return node.input[0], *linear


def _weights_and_bias(
    wiring: Wiring, node: onnx.NodeProto, stored: Matrix
) -> tuple[Matrix, Matrix] | None:
    if node.op_type == "Gemm":
        return _gemm(wiring, node, stored)
    if node.op_type == "Conv":
        return _pointwise(wiring, node, stored)
    if node.op_type == "MatMul" and stored.ndim == 2:
        return stored.T, np.zeros(stored.shape[1], np.float32)
    return None


def _gemm(wiring: Wiring, node: onnx.NodeProto, stored: Matrix) -> tuple[Matrix, Matrix] | None:
    if attribute(node, "transA", 0):
        return None
    weights = stored if attribute(node, "transB", 0) else stored.T
    weights = weights * np.float32(attribute(node, "alpha", 1.0))
    bias = _bias(wiring, node, len(weights))
    return None if bias is None else (weights, bias * np.float32(attribute(node, "beta", 1.0)))


def _pointwise(
    wiring: Wiring, node: onnx.NodeProto, stored: Matrix
) -> tuple[Matrix, Matrix] | None:
    if stored.shape[2:] != (1, 1) or attribute(node, "group", 1) != 1:
        return None
    bias = _bias(wiring, node, len(stored))
    return None if bias is None else (stored[:, :, 0, 0], bias)


def _bias(wiring: Wiring, node: onnx.NodeProto, outputs: int) -> Matrix | None:
    """The third input as a row of ``outputs`` numbers; zeros if there is none."""
    if len(node.input) < 3 or not node.input[2]:
        return np.zeros(outputs, np.float32)
    stored = as_numbers(wiring.constant(node.input[2]))
    if stored is None or stored.size not in (1, outputs):
        return None
    return np.broadcast_to(stored.reshape(-1), (outputs,))


def _pools_globally(model: onnx.ModelProto, wiring: Wiring, node: onnx.NodeProto) -> bool:
    if node.op_type == "GlobalAveragePool":
        return True
    if node.op_type == "ReduceMean":
        axes = wiring.list_argument(node, "axes", 1) or []
        spatial = [1, 2] if _moved_channels_last(wiring, node) else [2, 3]
        return sorted(axis % 4 for axis in axes) == spatial
    if node.op_type == "AveragePool":
        shape = wiring.shape(model, node.input[0]) or ()
        whole = list(attribute(node, "kernel_shape", [])) == list(shape[2:])
        return whole and not any(attribute(node, "pads", []))
    return False


def _moved_channels_last(wiring: Wiring, node: onnx.NodeProto) -> bool:
    before = wiring.producer.get(node.input[0])
    if before is None or before.op_type != "Transpose":
        return False
    return list(attribute(before, "perm", [])) == [0, 2, 3, 1]


def _channels_first(wiring: Wiring, pool: onnx.NodeProto) -> str:
    """The pooled feature maps, before any Transpose that only moves their channels last."""
    if pool.op_type == "ReduceMean" and _moved_channels_last(wiring, pool):
        return wiring.producer[pool.input[0]].input[0]
    return pool.input[0]
