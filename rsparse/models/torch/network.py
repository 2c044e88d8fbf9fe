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
    """A graph with one image input and one output, of any batch size, on a torch device."""

    def __init__(self, model: onnx.ModelProto, device: str) -> None:
        self.device = device
        self._network = convert(model).to(device)

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
