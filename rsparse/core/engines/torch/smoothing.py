"""Classify noisy samples in torch, in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rsparse.core.engines.torch.precision import float32_in_full
from rsparse.errors import InputError

Module = Callable[[torch.Tensor], torch.Tensor]


def classes_of(
    samples: Sequence[NDArray[np.float32]], network: Module, device: str, together: int
) -> list[int]:
    """The classes that a network gives to samples.

    Parameters
    ----------
    samples : sequence of float32 arrays of shape (h, w, 3)
    network : callable
        Gives logits (n, classes) for images (n, 3, h, w) on the device.
    device : str
        Torch's name of the device.
    together : int
        Samples in a batch; fewer where the memory is too small.

    Raises
    ------
    InputError
        If the memory is too small for one sample.
    """
    classes: list[int] = []
    for start in range(0, len(samples), together):
        classes += _of_batch(samples[start : start + together], network, device)
    return classes


def _of_batch(samples: Sequence[NDArray[np.float32]], network: Module, device: str) -> list[int]:
    try:
        with torch.inference_mode(), float32_in_full():
            x = torch.from_numpy(np.stack(samples)).to(device).permute(0, 3, 1, 2).contiguous()
            return list(map(int, network(x).argmax(1).tolist()))
    except torch.OutOfMemoryError:
        pass  # retry outside this block: the exception keeps the failed attempt's memory
    half = len(samples) // 2
    if half == 0:
        raise InputError(f"the memory of device {device!r} is too small for it")
    return _of_batch(samples[:half], network, device) + _of_batch(samples[half:], network, device)
