"""Whether the fused kernels can run, and where."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

import torch


def has_kernels(device: torch.device) -> bool:
    """Whether it is a GPU of NVIDIA or AMD and Triton, which makes code for it, is there."""
    return device.type == "cuda" and find_spec("triton") is not None


def current(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the current one of several, which is where Triton starts its kernels."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
