"""Simulate a device whose memory is too small for some images (no GPU needed)."""

from __future__ import annotations

import pytest


def for_images_of_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a device run out of memory on batches of images of this width."""
    import torch

    from rsparse.core.engines.torch.engine import TorchEngine

    real = TorchEngine.upload

    def short_of_memory(engine, images):
        if images[0].shape[1] == width:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(engine, images)

    monkeypatch.setattr(TorchEngine, "upload", short_of_memory)
