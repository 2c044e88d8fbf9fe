"""Remove Gaussian noise of known σ by sparse coding, in float32 and without rounding.

The image is cut into overlapping patches. The mean of each channel of a patch is kept apart, the
rest is coded by Orthogonal Matching Pursuit: atoms are taken while one correlates with the residual
by more than C·σ, which white noise rarely does. A patch counts for less in the average of overlaps
the more atoms it took, since each of them keeps some of the noise. A second scale mends the means:
the image, averaged over squares of 4×4 pixels, is denoised in the same way, and what that changes
is taken from the image first.

The patchwise form is that of Elad and Aharon (2006); the weights are as in BM3D (Dabov et al.
2007).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.dictionary import CentredAtoms
from rsparse.core.engines.cpu import loops
from rsparse.core.omp import BLOCK
from rsparse.core.patches import positions

Floats = NDArray[np.float32]

COARSE = 4
"""How many times smaller the coarse image is along each side."""

_NONE = np.empty(0, np.float32)


@dataclass(frozen=True)
class OmpDenoising:
    """How ``omp_denoise`` works.

    Attributes
    ----------
    threshold : float
        C: an atom is taken while it correlates with the residual by more than C·σ.
    stride : int
        Pixels between neighbouring patches.
    sparsity : int
        Most atoms of a patch.
    weighted : bool
        Whether patches of many atoms count for less.
    coarse : bool
        Whether the coarse scale mends the means.
    """

    threshold: float
    stride: int
    sparsity: int
    weighted: bool = True
    coarse: bool = True


def omp_denoise(x: Floats, sigma: float, atoms: CentredAtoms, how: OmpDenoising) -> Floats:
    """Remove noise of standard deviation ``sigma`` from an image.

    Parameters
    ----------
    x : float32 array of shape (h, w, 3)
        The noisy image; values may be outside [0, 1].
    sigma : float
        In the unit of ``x``.
    atoms : CentredAtoms
    how : OmpDenoising

    Returns
    -------
    float32 array of shape (h, w, 3)
        Not clipped.
    """
    if how.coarse:
        x = mend_coarse(
            x, atoms.patch_size, lambda small: _one_scale(small, sigma / COARSE, atoms, how)
        )
    return _one_scale(x, sigma, atoms, how)


def mend_coarse(x: Floats, patch_size: int, denoise: Callable[[Floats], Floats]) -> Floats:
    """Take from an image what denoising its coarse version takes from that.

    Parameters
    ----------
    x : float32 array of shape (h, w, 3)
    patch_size : int
        An image whose coarse version is smaller than a patch is returned as it is.
    denoise : callable
        Denoises the coarse version, in which white noise is ``COARSE`` times weaker.
    """
    height, width = (-(-side // COARSE) for side in x.shape[:2])
    if min(height, width) < patch_size:
        return x
    missing = height * COARSE - x.shape[0], width * COARSE - x.shape[1]
    padded = np.pad(x, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    means = cv2.resize(padded, (width, height), interpolation=cv2.INTER_AREA)  # of squares
    small = np.asarray(means, np.float32)
    change = denoise(small) - small
    size = width * COARSE, height * COARSE
    grown = cv2.resize(change, size, interpolation=cv2.INTER_LINEAR)[: x.shape[0], : x.shape[1]]
    return np.ascontiguousarray(x + grown)


def _one_scale(x: Floats, sigma: float, atoms: CentredAtoms, how: OmpDenoising) -> Floats:
    b, k = atoms.patch_size, len(atoms.atoms)
    corners = positions((x.shape[0], x.shape[1]), b, how.stride)
    total = np.zeros(x.shape, np.float32)
    weights = np.empty(len(corners), np.float32)
    offset = np.zeros(atoms.atoms.shape[1], np.float32)
    for start in range(0, len(corners), BLOCK):
        block = corners[start : start + BLOCK]
        patches = np.empty((len(block), offset.size), np.float32)
        loops.fastest.gather(x, block, b, patches)
        chosen, codes = _pursued(patches, atoms, how, how.threshold * sigma)
        weight = 1 / (3 + np.count_nonzero(codes, axis=1).astype(np.float32))
        weights[start : start + BLOCK] = weight if how.weighted else 1
        means = patches.reshape(len(block), -1, 3).mean(axis=1, dtype=np.float32)
        constant = np.broadcast_to(np.arange(k, k + 3, dtype=np.int32), means.shape)
        codes = np.concatenate([codes, means], axis=1, dtype=np.float32)
        codes *= weights[start : start + BLOCK, None]
        chosen = np.concatenate([chosen, constant], axis=1)
        top, bottom = int(block[0, 0]), int(block[-1, 0]) + b
        strip = total[top:bottom]
        loops.fastest.add_patches(strip, top, block, b, chosen, codes, atoms.decoder, offset)
    return total / coverage(corners, weights, (x.shape[0], x.shape[1]), b)[:, :, None]


def _pursued(
    patches: Floats, atoms: CentredAtoms, how: OmpDenoising, least: float
) -> tuple[NDArray[np.int32], Floats]:
    """Code patches (n, b·b·3) by atoms that correlate with the residual by more than ``least``."""
    steps = min(how.sparsity, len(atoms.atoms))
    chosen = np.zeros((len(patches), steps), np.int32)
    codes = np.zeros((len(patches), steps), np.float32)
    correlations = patches @ atoms.encoder
    loops.fastest.pursue(correlations, atoms.gram, steps, _NONE, 0.0, chosen, codes, float(least))
    return chosen, codes


def coverage(
    corners: NDArray[np.intp], weights: Floats, shape: tuple[int, int], patch_size: int
) -> Floats:
    """The sum of the weights (n,) of the patches over each pixel, (h, w)."""
    placed = np.zeros(shape, np.float32)
    placed[corners[:, 0], corners[:, 1]] = weights
    last = patch_size - 1
    sums = cv2.boxFilter(
        placed,
        -1,
        (patch_size, patch_size),
        anchor=(last, last),
        normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )
    return np.asarray(sums, np.float32)
