"""Control the precision in which torch computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def float32_in_full() -> Iterator[None]:
    """Turn TF32 off, whatever the surrounding program has chosen.

    With its 10-bit mantissa, a pursuit selects other atoms, and a network's logits differ from
    onnxruntime's.
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
