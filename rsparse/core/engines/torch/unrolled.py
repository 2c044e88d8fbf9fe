"""The unrolled coder in torch, differentiable in the image and in its weights.

``rsparse.core.unrolled`` describes it and does the same on the CPU without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from rsparse.core.denoising import COARSE
from rsparse.core.unrolled import PATCH_SIZE, REFERENCE, SCALES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rsparse.core.unrolled import UnrolledWeights

PATCH = PATCH_SIZE
STEPS = 2
STRIDE = 4
_TINY = 1e-12


class UnrolledScale(nn.Module):
    """The unrolled coder of one scale, for patches of the order (channel, row, column).

    Attributes
    ----------
    encoder, decoder : parameters of shape (3·b·b, k) and (k, 3·b·b)
    thresholds : parameter of shape (STEPS, 3, k)
        Coefficients of the logarithm of a threshold over σ, as a polynomial of ln(σ / REFERENCE).
    window : parameter of shape (b·b,)
        Logarithms of the weights of a patch's pixels.
    spread : parameter of shape (2,)
        Logarithms of the two numbers a, c in the weight 1 / (a + c · gains) of a patch.
    """

    def __init__(self, atoms: torch.Tensor) -> None:
        super().__init__()
        k = len(atoms)
        self.encoder = nn.Parameter(atoms.T.clone())
        self.decoder = nn.Parameter(atoms.clone())
        thresholds = torch.zeros(STEPS, 3, k)
        thresholds[:, 0] = 0.7
        self.thresholds = nn.Parameter(thresholds)
        self.window = nn.Parameter(torch.zeros(PATCH * PATCH))
        self.spread = nn.Parameter(torch.tensor([0.0, 2.0]))

    def forward(self, x: torch.Tensor, sigma: torch.Tensor, stride: int) -> torch.Tensor:
        """Denoise images (n, 3, h, w) with noise of σ (n,); patches lie on a grid of ``stride``."""
        height, width = x.shape[2:]
        patches = functional.unfold(x, PATCH, stride=stride).transpose(1, 2)  # (n, L, 3·b·b)
        mean = patches.unflatten(2, (3, -1)).mean(3, keepdim=True)
        centred = (patches.unflatten(2, (3, -1)) - mean).flatten(2)
        scale = sigma.view(-1, 1, 1)
        u = torch.log(scale / REFERENCE)
        powers = torch.cat([torch.ones_like(u), u, u * u], 2)  # (n, 1, 3)
        encoder = self.encoder.unflatten(0, (3, -1))
        encoder = (encoder - encoder.mean(1, keepdim=True)).flatten(0, 1)
        correlations = centred @ encoder
        codes, gains = torch.zeros_like(correlations), torch.zeros_like(correlations)
        inhibition = self.decoder @ encoder
        for step in range(STEPS):
            threshold = torch.exp(powers @ self.thresholds[step]) * scale
            if step:
                codes = codes + correlations - codes @ inhibition
            else:
                codes = correlations
            energy = codes.square()
            gains = (energy / (energy + threshold.square() + _TINY)).square()
            codes = codes * gains
        a, c = torch.exp(self.spread)
        weight = 1 / (a + c * gains.mean(2, keepdim=True))
        window = torch.exp(self.window).repeat(3) * weight
        decoded = codes @ self.decoder + mean.expand(-1, -1, -1, PATCH * PATCH).flatten(2)

        def sums(values: torch.Tensor) -> torch.Tensor:
            return functional.fold(values.transpose(1, 2), (height, width), PATCH, stride=stride)

        return sums(decoded * window) / sums(window.expand_as(decoded))


class UnrolledCoder(nn.Module):
    """Both scales: the coarse one mends what a patch's mean keeps of the noise."""

    def __init__(self, fine: torch.Tensor, coarse: torch.Tensor) -> None:
        super().__init__()
        self.fine, self.coarse = UnrolledScale(fine), UnrolledScale(coarse)

    @classmethod
    def of(cls, weights: UnrolledWeights) -> UnrolledCoder:
        """The coder with weights as the CPU uses them, for patches of (row, column, channel)."""
        network = cls(*(torch.zeros(weights[scale].decoder.shape) for scale in SCALES))
        order = torch.arange(3 * PATCH * PATCH).view(PATCH * PATCH, 3).T.flatten()
        with torch.no_grad():
            for scale in SCALES:
                own, given = getattr(network, scale), weights[scale]
                own.encoder.copy_(torch.from_numpy(given.encoder)[order])
                own.decoder.copy_(torch.from_numpy(given.decoder)[:, order])
                own.thresholds.copy_(torch.from_numpy(given.thresholds))
                own.window.copy_(torch.from_numpy(given.window[::3]).log())
                own.spread.copy_(torch.from_numpy(given.spread).log())
        return network

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The weights by name, as ``rsparse.core.unrolled.weights_from`` takes them."""
        arrays = {}
        order = torch.arange(3 * PATCH * PATCH).view(3, PATCH * PATCH).T.flatten()
        for scale in SCALES:
            own = getattr(self, scale)
            encoder = own.encoder.detach().unflatten(0, (3, -1))
            encoder = (encoder - encoder.mean(1, keepdim=True)).flatten(0, 1)
            arrays[f"{scale}/encoder"] = encoder[order].numpy()
            arrays[f"{scale}/decoder"] = own.decoder.detach()[:, order].numpy()
            arrays[f"{scale}/thresholds"] = own.thresholds.detach().numpy()
            arrays[f"{scale}/window"] = own.window.detach().exp().repeat_interleave(3).numpy()
            arrays[f"{scale}/spread"] = own.spread.detach().exp().numpy()
        return arrays

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Denoise images (n, 3, h, w); h and w are multiples of 4·COARSE."""
        small = functional.avg_pool2d(x, COARSE)
        change = self.coarse(small, sigma / COARSE, STRIDE) - small
        grown = functional.interpolate(
            change, scale_factor=COARSE, mode="bilinear", align_corners=False
        )
        return self.fine(x + grown, sigma, STRIDE)
