"""Arrays on their way to the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def sent(array: NDArray[Any], device: torch.device) -> Tensor:
    """A copy of an array on the device, without waiting for it to arrive there.

    From pinned memory: PyTorch sends other memory only after all work in hand is done.
    """
    if device.type == "cuda" and array.size:
        held = torch.from_numpy(np.require(array, requirements=("C", "W"))).pin_memory()
        return held.to(device, non_blocking=True)
    return torch.from_numpy(np.array(array, order="C")).to(device)
