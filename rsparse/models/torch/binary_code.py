"""Differentiate networks that compress an image to bits, such as ComDefend's."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.utils import Extractor

from rsparse.core.engines.torch.precision import float32_in_full
from rsparse.models.torch.conversion import convert

NOISE = 20.0
"""Standard deviation of the noise that the compressor's output has in training."""


class BinaryCode:
    """A compressor and a reconstructor, with a threshold between them.

    Parameters
    ----------
    model : onnx.ModelProto
        A graph from images (n, 3, h, w) in [0, 1] to images, with one ``Greater`` that gives bits.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        threshold = next(node for node in model.graph.node if node.op_type == "Greater")
        cast = next(node for node in model.graph.node if threshold.output[0] in node.input)
        (given,), (result,) = model.graph.input, model.graph.output
        extractor = Extractor(onnx.shape_inference.infer_shapes(model))
        self._compress = _frozen(extractor, given.name, threshold.input[0])
        self._reconstruct = _frozen(extractor, cast.output[0], result.name)

    def restored(self, x: torch.Tensor, noise: torch.Tensor | float = 0.0) -> torch.Tensor:
        """The restored images (n, 3, h, w), which can be differentiated.

        ``noise`` (n, 12, h, w) is subtracted from the code before its bits are taken.
        """
        code: torch.Tensor = _Bits.apply(self._compress(x) - noise)
        restored: torch.Tensor = self._reconstruct(code)
        return restored

    def vjp(
        self,
        image: NDArray[np.uint8],
        upper: NDArray[np.float32],
        noise: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Multiply a gradient (h, w, 3) by the networks' Jacobian at an image, transposed.

        ``noise`` (h, w, 12) is that of the code.
        """
        drawn = 0.0 if noise is None else torch.from_numpy(noise).permute(2, 0, 1)[None]
        x = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
        x.requires_grad_()
        with torch.enable_grad(), float32_in_full():
            restored = self.restored(x, drawn)
            above = torch.from_numpy(np.ascontiguousarray(upper)).permute(2, 0, 1)[None]
            (gradient,) = torch.autograd.grad(restored, x, above)
        return np.ascontiguousarray(gradient[0].permute(1, 2, 0).numpy())


class _Bits(torch.autograd.Function):
    """1 where the code is positive; its slope is that of the expectation with training's noise."""

    @staticmethod
    def forward(ctx: Any, code: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(code)
        return (code > 0).to(code)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (code,) = ctx.saved_tensors
        density = torch.exp(-0.5 * (code / NOISE) ** 2) / (NOISE * (2 * torch.pi) ** 0.5)
        return gradients[0] * density


def _frozen(extractor: Extractor, start: str, end: str) -> torch.nn.Module:
    network = convert(extractor.extract_model([start], [end])).eval()
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.requires_grad_(False)
    return network


@lru_cache(maxsize=1)
def load_binary_code(path: Path) -> BinaryCode:
    """Load the networks of an ONNX file, once per process."""
    return BinaryCode(onnx.load(path))
