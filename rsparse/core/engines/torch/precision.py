"""Which precision torch computes in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def float32_in_full() -> Iterator[None]:
    """Keep TF32 off, whatever the program around has chosen.

    With its 10 bits of mantissa a pursuit picks other atoms, and a network's logits are no longer
    those of onnxruntime.
    """
    import torch

    convolutions = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), convolutions.allow_tf32
    torch.set_float32_matmul_precision("highest")
    convolutions.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        convolutions.allow_tf32 = before[1]
