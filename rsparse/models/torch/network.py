"""Run ONNX graphs other than classifiers in torch: arrays in, arrays out."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from rsparse.core.engines.torch.precision import float32_in_full
from rsparse.errors import InputError
from rsparse.models.torch.converter import import_onnx2torch

convert, _ = import_onnx2torch()

import torch  # noqa: E402


class TorchNetwork:
    """A graph with one image input and one output, of any batch size, on a torch device."""

    def __init__(self, model: onnx.ModelProto, device: str) -> None:
        self.device = device
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # onnx2torch warns about its own internals
            self._network = convert(with_cast_weights(model)).eval().to(device)

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the output (n, …) for an input (n, …); split the batch if memory runs out.

        Raises
        ------
        InputError
            If the device's memory is too small for even one image.
        """
        try:
            with torch.inference_mode(), float32_in_full():
                output = self._network(torch.from_numpy(x).to(self.device))
                return np.asarray(output.cpu().numpy(), np.float32)
        except torch.OutOfMemoryError:
            pass  # retry outside this block: the exception keeps the failed attempt's memory
        half = len(x) // 2
        if half == 0:
            raise InputError(f"is too large for the memory of device {self.device!r}")
        return np.concatenate([self(x[:half]), self(x[half:])])


def with_cast_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace casts of weights by cast weights, since onnx2torch does not cast them."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in [n for n in graph.node if n.op_type == "Cast" and n.input[0] in weights]:
        dtype = helper.tensor_dtype_to_np_dtype(node.attribute[0].i)
        array = numpy_helper.to_array(weights[node.input[0]]).astype(dtype)
        graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
        graph.node.remove(node)
    return changed
