"""Remove Gaussian noise of known σ by a few unrolled steps of sparse coding with learned weights.

A patch p without the means of its channels is coded by

    z₀ = s(E p),   z₁ = s(z₀ + E (p − D z₀)),   s(z) = z (z² / (z² + t²))²,   t = σ τ(σ),

and decoded to D z₁. That is two steps of iterative shrinkage in which the encoder E, the atoms D,
the thresholds τ of each step and atom and the weights of overlapping patches are learned together
(LISTA, Gregor and LeCun 2010; for denoising, Simon and Elad 2019; Scetbon, Elad and Milanfar 2021).
ln τ is a quadratic polynomial of ln σ, so one set of weights serves all noise. A patch has the
weight 1 / (a + c·g), where g is the mean gain of its coefficients: about the share of the noise
that they keep. The coarse scale of ``denoising`` mends the means, with weights of its own.

``scripts/unrolled_coder.py`` trains the weights, with the same coder in torch
(``engines.torch.unrolled``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse.core.denoising import COARSE, mend_coarse
from rsparse.core.engines.cpu import loops
from rsparse.core.patches import positions

Floats = NDArray[np.float32]

PATCH_SIZE = 8
REFERENCE = 0.1
"""The σ at which ln τ is the first coefficient of its polynomial."""
SCALES = ("fine", "coarse")
_FIELDS = ("encoder", "decoder", "thresholds", "window", "spread")
_TINY = 1e-12
BLOCK = 256
"""Patches coded together, so that they and their codes stay in a core's cache."""
_AVERAGES = np.tile(np.eye(3, dtype=np.float32) / PATCH_SIZE**2, (PATCH_SIZE**2, 1))
"""Takes patches to the means of their channels."""


@dataclass(frozen=True)
class ScaleWeights:
    """Learned weights of a scale, for patches of rows, columns and channels.

    Attributes
    ----------
    encoder : float32 array of shape (3·b·b, k)
        E; each channel of a column has the mean 0.
    decoder : float32 array of shape (k, 3·b·b)
        D.
    thresholds : float32 array of shape (2, 3, k)
        For each step, the coefficients of ln τ as a polynomial of ln(σ / REFERENCE).
    window : float32 array of shape (3·b·b,)
        Weights of a patch's pixels.
    spread : float32 array of shape (2,)
        a and c in the weight of a patch.
    """

    encoder: Floats
    decoder: Floats
    thresholds: Floats
    window: Floats
    spread: Floats

    @cached_property
    def inhibition(self) -> Floats:
        """I − D E, (k, k): what a step subtracts from the codes, and the identity."""
        return np.eye(len(self.decoder), dtype=np.float32) - self.decoder @ self.encoder

    def squares(self, sigma: float) -> Floats:
        """t² of each step and atom, (2, k)."""
        u = math.log(sigma / REFERENCE)
        powers = np.array([1, u, u * u])
        taus = np.exp(np.einsum("p,spk->sk", powers, self.thresholds.astype(np.float64)))
        return ((sigma * taus) ** 2 + _TINY).astype(np.float32)


UnrolledWeights = Mapping[str, ScaleWeights]
"""The weights of each of ``SCALES``."""


def weights_from(arrays: Mapping[str, NDArray[Any]]) -> UnrolledWeights:
    """The weights from arrays named ``fine/encoder``, …, of any floating-point type."""
    weights = {}
    for scale in SCALES:
        kept = {name: np.array(arrays[f"{scale}/{name}"], np.float32) for name in _FIELDS}
        encoder = kept["encoder"].reshape(PATCH_SIZE**2, 3, -1)  # a view; rounding moved its means
        encoder -= encoder.mean(axis=0, keepdims=True)
        weights[scale] = ScaleWeights(**kept)
    return weights


def unrolled_denoise(x: Floats, sigma: float, weights: UnrolledWeights, stride: int = 4) -> Floats:
    """Remove noise of standard deviation ``sigma`` from an image.

    Parameters
    ----------
    x : float32 array of shape (h, w, 3)
        The noisy image; values may be outside [0, 1].
    sigma : float
        In the unit of ``x``, which is [0, 1] for the weights.
    weights : UnrolledWeights
    stride : int
        Pixels between neighbouring patches; a smaller one is slower and a little better.

    Returns
    -------
    float32 array of shape (h, w, 3)
        Not clipped.
    """
    x = mend_coarse(
        x,
        PATCH_SIZE,
        lambda small: _one_scale(small, sigma / COARSE, weights["coarse"], stride),
    )
    return _one_scale(x, sigma, weights["fine"], stride)


def _one_scale(x: Floats, sigma: float, weights: ScaleWeights, stride: int) -> Floats:
    b, inner = PATCH_SIZE, loops.fastest
    corners = positions((x.shape[0], x.shape[1]), b, stride)
    squares = weights.squares(sigma)
    a, c = weights.spread
    total, counts = np.zeros(x.shape, np.float32), np.zeros(x.shape[:2], np.float32)
    arrays = _Arrays.of(min(len(corners), BLOCK), weights)
    for start in range(0, len(corners), BLOCK):
        block = corners[start : start + BLOCK]
        patches, correlations, codes, gains = arrays.first(len(block))
        inner.gather(x, block, b, patches)
        means = patches @ _AVERAGES
        np.matmul(patches, weights.encoder, out=correlations)
        np.copyto(codes, correlations)
        inner.shrink(codes, squares[0], gains)
        correlations += np.matmul(codes, weights.inhibition, out=arrays.product[: len(block)])
        inner.shrink(correlations, squares[1], gains)
        decoded = np.matmul(correlations, weights.decoder, out=patches)
        top, bottom = int(block[0, 0]), int(block[-1, 0]) + b
        strip = total[top:bottom], counts[top:bottom], top, block, b
        inner.add_weighted(*strip, decoded, means, 1 / (a + c * gains), weights.window)
    total /= counts[:, :, None]
    return total


class _Arrays(NamedTuple):
    """Memory for a block of patches, used again by the next one."""

    patches: Floats
    correlations: Floats
    codes: Floats
    product: Floats
    gains: Floats

    @classmethod
    def of(cls, n: int, weights: ScaleWeights) -> _Arrays:
        n_features, k = weights.encoder.shape
        columns = (n_features, k, k, k)
        patches, correlations, codes, product = (np.empty((n, m), np.float32) for m in columns)
        return cls(patches, correlations, codes, product, np.empty(n, np.float32))

    def first(self, n: int) -> tuple[Floats, Floats, Floats, Floats]:
        """Patches, correlations, codes and gains of ``n`` patches."""
        return self.patches[:n], self.correlations[:n], self.codes[:n], self.gains[:n]
