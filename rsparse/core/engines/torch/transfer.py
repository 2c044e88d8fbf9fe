"""Transfer arrays to the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to the device, without waiting for the transfer.

    This needs pinned memory: from other memory, PyTorch waits for all pending work first.
    """
    if device.type == "cuda" and array.size:
        pinned = torch.from_numpy(np.require(array, requirements=("C", "W"))).pin_memory()
        return pinned.to(device, non_blocking=True)
    return torch.from_numpy(np.array(array, order="C")).to(device)
