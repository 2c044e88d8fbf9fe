"""The engine in torch: batches of images of one size, on a GPU (or on the CPU, for tests)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.engine import Engine, Floats, Mask, Pixels
from rsparse.core.engines.torch.coding import sparse_code
from rsparse.core.engines.torch.grids import Grid
from rsparse.core.engines.torch.precision import float32_in_full
from rsparse.core.engines.torch.steps import TORCH, Steps
from rsparse.core.engines.torch.transfer import to_device


class TorchEngine(Engine[Tensor]):
    """Runs torch's own operations on one of torch's devices; grey levels are float32.

    Nothing waits for the device before ``download``.
    """

    name = "torch"
    steps: Steps = TORCH
    out_of_memory = (torch.OutOfMemoryError,)

    def __init__(self, device: str) -> None:
        self.device = device
        self._device = torch.device(device)

    @contextmanager
    def session(self) -> Iterator[None]:
        on_gpu = self._device.type == "cuda"  # Triton runs kernels on the current device
        current = torch.cuda.device(self._device) if on_gpu else nullcontext()
        with torch.inference_mode(), float32_in_full(), current:
            yield

    def upload(self, images: Sequence[Pixels]) -> Tensor:
        return to_device(np.stack(images), self._device).float()

    def download(self, images: Tensor) -> Pixels:
        return np.asarray(images.to(torch.uint8).cpu().numpy(), dtype=np.uint8)

    def bilateral(
        self,
        images: Tensor,
        chosen: Sequence[int],
        diameter: int,
        sigma_color: float,
        sigma_space: float,
    ) -> Tensor:
        some = to_device(np.array(chosen, dtype=np.int64), self._device)
        channels_first = images[some].permute(0, 3, 1, 2).contiguous()
        smooth = self.steps.bilateral(channels_first, diameter, sigma_color, sigma_space)
        return images.index_copy(0, some, smooth.permute(0, 2, 3, 1))

    def sparse_code(
        self,
        images: Tensor,
        masks: Sequence[Mask],
        dictionary: Dictionary,
        sparsity: int,
        stride: int,
        min_correlation: float,
    ) -> tuple[Tensor, Tensor]:
        height, width = images.shape[1:3]
        where = Grid.over((height, width), dictionary.patch_size, stride)
        places = [where.touching(mask, dictionary.patch_size) for mask in masks]
        stops = sparsity, min_correlation
        return sparse_code(images / 255, dictionary, where, places, *stops, self.steps)

    def blend(
        self, coded: Tensor, covered: Tensor, theta: Sequence[Floats], background: Tensor
    ) -> Tensor:
        weight = (self._theta(theta) * covered)[..., None]
        mixed = weight * coded.clamp_(0, 1) * 255
        mixed += (1 - weight) * background
        return mixed.round_()

    def _theta(self, theta: Sequence[Floats]) -> Tensor:
        """Stack θ of all images, (n, h, w); nothing is transferred if it is 1 everywhere."""
        if all((own == 1).all() for own in theta):
            return torch.ones((len(theta), *theta[0].shape), device=self._device)
        return to_device(np.stack(theta), self._device)
