"""A device whose memory is too small for some images (no GPU needed)."""

from __future__ import annotations

import pytest


def for_images_of_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let purifying on a device run out of memory where a batch holds images of that width."""
    import torch

    from rsparse.core.engines.torch import regionsparse

    real = regionsparse.purified

    def short_of_memory(images, *arguments):
        if images.shape[2] == width:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(images, *arguments)

    monkeypatch.setattr(regionsparse, "purified", short_of_memory)
