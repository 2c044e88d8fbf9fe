"""The unrolled coder in torch, differentiable in the image and in its weights.

``rsparse.core.unrolled`` describes it and does the same on the CPU without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from rsparse.core.denoising import COARSE
from rsparse.core.patches import grid
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
        grid = _Grid(x.shape[2:], stride)
        patches = grid.patches(x)
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
        return grid.sums(decoded * window) / grid.sums(window.expand_as(decoded))


class _Grid:
    """Patches every ``stride`` pixels, and at the end of each side, as ``core.patches.grid``."""

    def __init__(self, shape: Sequence[int], stride: int) -> None:
        self.height, self.width = shape
        self.stride = stride
        self.rows, self.columns = (
            torch.from_numpy(grid(side, PATCH, stride)) for side in (self.height, self.width)
        )
        self.is_regular = all((side - PATCH) % stride == 0 for side in shape)

    def patches(self, x: torch.Tensor) -> torch.Tensor:
        """The patches (n, L, 3·b·b) of images (n, 3, h, w)."""
        if self.is_regular:
            return functional.unfold(x, PATCH, stride=self.stride).transpose(1, 2)
        rows, columns = self.rows.to(x.device), self.columns.to(x.device)
        windows = x.unfold(2, PATCH, 1)[:, :, rows].unfold(3, PATCH, 1)[:, :, :, columns]
        return windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)

    def sums(self, patches: torch.Tensor) -> torch.Tensor:
        """The images (n, 3, h, w) to which patches (n, L, 3·b·b) add up.

        Patches are added in a fixed order, on a GPU, too.
        """
        if self.is_regular:
            size = self.height, self.width
            return functional.fold(patches.transpose(1, 2), size, PATCH, stride=self.stride)
        rows, columns = self.rows.to(patches.device), self.columns.to(patches.device)
        pixels = patches.unflatten(1, (len(rows), len(columns))).unflatten(3, (3, PATCH, PATCH))
        total = patches.new_zeros(len(patches), self.height, self.width, 3)
        for row in range(PATCH):  # within one place of the patches, no pixel occurs twice
            for column in range(PATCH):
                place = slice(None), (rows + row)[:, None], columns + column
                total[place] = total[place] + pixels[..., row, column]
        return total.permute(0, 3, 1, 2)


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

    def forward(self, x: torch.Tensor, sigma: torch.Tensor, stride: int = STRIDE) -> torch.Tensor:
        """Denoise images (n, 3, h, w), of at least b×b pixels, with noise of σ (n,)."""
        height, width = x.shape[2:]
        missing = (0, -width % COARSE, 0, -height % COARSE)
        if min(-(-side // COARSE) for side in (height, width)) >= PATCH:
            padded = functional.pad(x, missing, mode="replicate") if any(missing) else x
            small = functional.avg_pool2d(padded, COARSE)
            change = self.coarse(small, sigma / COARSE, stride) - small
            grown = functional.interpolate(
                change, scale_factor=COARSE, mode="bilinear", align_corners=False
            )
            x = x + grown[:, :, :height, :width]
        return self.fine(x, sigma, stride)


def unrolled_on(
    weights: UnrolledWeights, stride: int, device: str
) -> Callable[[torch.Tensor, float], torch.Tensor]:
    """``rsparse.core.unrolled.unrolled_denoise`` for images (n, 3, h, w) on a device, and σ."""
    network = UnrolledCoder.of(weights).to(device)

    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        clean: torch.Tensor = network(x, torch.full((len(x),), sigma, device=x.device), stride)
        return clean

    return denoise
