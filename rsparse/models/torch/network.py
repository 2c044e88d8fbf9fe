"""Run ONNX graphs other than classifiers in torch: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from rsparse.core.engines.torch.precision import float32_in_full
from rsparse.errors import InputError
from rsparse.models.torch.conversion import convert


class TorchNetwork:
    """A graph with one output and inputs of any batch size, on a torch device."""

    def __init__(self, model: onnx.ModelProto, device: str) -> None:
        self.device = device
        self._network = convert(model).to(device)

    def __call__(self, *inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the output (n, …) for inputs (n, …); split the batch if memory runs out.

        Raises
        ------
        InputError
            If the device's memory is too small for even one image.
        """
        try:
            with torch.inference_mode(), float32_in_full():
                given = [torch.from_numpy(np.ascontiguousarray(x)) for x in inputs]
                output = self._network(*(x.to(self.device) for x in given))
                return np.asarray(output.cpu().numpy(), np.float32)
        except torch.OutOfMemoryError:
            pass  # retry outside this block: the exception keeps the failed attempt's memory
        half = len(inputs[0]) // 2
        if half == 0:
            raise InputError(f"is too large for the memory of device {self.device!r}")
        parts = slice(half), slice(half, None)
        return np.concatenate([self(*(x[part] for x in inputs)) for part in parts])
