"""Code a whole image: z-score overlapping patches, code them, and average the result."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.cpu import loops
from rsparse.core.omp import BLOCK, in_threads
from rsparse.core.patches import patch_statistics, positions

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_NONE = np.empty(0, dtype=np.float32)


def sparse_code(
    x: Floats,
    dictionary: Dictionary,
    sparsity: int,
    stride: int,
    mask: Mask | None = None,
    threads: int = 1,
    min_correlation: float = 0.0,
    inner: loops.Loops | None = None,
) -> tuple[Floats, Mask]:
    """Replace an image by the average of its sparsely coded, overlapping patches.

    Each patch dimension is z-scored by its mean and deviation over this image's grid of patches,
    coded with at most K atoms, and scaled back.

    Parameters
    ----------
    x : float32 array of shape (h, w, 3), in [0, 1]
    dictionary : Dictionary
    sparsity : int
        K.
    stride : int
        Pixels between neighbouring patches.
    mask : bool array of shape (h, w), optional
        Code only patches that contain a true pixel.
    threads : int
        Their number does not change a byte of the result.
    min_correlation : float
        A patch gets no more atoms once no atom's correlation with its z-scored residual is above
        this; with 0, only K limits the atoms. Patches with little content get few atoms, as with a
        hard threshold on the coefficients of an orthonormal dictionary.
    inner : Loops, optional
        The inner loops; by default the fastest available.

    Returns
    -------
    coded : float32 array of shape (h, w, 3)
        Not clipped; 0 at pixels without a coded patch.
    covered : bool array of shape (h, w)
    """
    corners = positions((x.shape[0], x.shape[1]), dictionary.patch_size, stride, mask)
    counts = patches_over_each_pixel(corners, (x.shape[0], x.shape[1]), dictionary.patch_size)
    layers = [x] if dictionary.color else [x[:, :, [channel]] for channel in range(3)]
    stops, inner = (sparsity, min_correlation), inner or loops.fastest
    sums = [
        _code_layer(layer, dictionary, stops, stride, corners, threads, inner) for layer in layers
    ]
    coded = np.concatenate(sums, axis=2)
    average = np.divide(coded, np.maximum(counts, 1)[:, :, None], dtype=np.float32)
    return average, counts > 0


def _code_layer(
    x: Floats,
    dictionary: Dictionary,
    stops: tuple[int, float],
    stride: int,
    corners: NDArray[np.intp],
    threads: int,
    inner: loops.Loops,
) -> Floats:
    """Sum all coded patches (h, w, c); ``stops`` holds K and ``min_correlation``.

    The z-score is part of the encoder and the decoder: the correlations of a patch p with the atoms
    D are D (p − μ)/σ = (D/σ) p − (D/σ) μ, and a code c is decoded to σ ⊙ Dᵀc + μ.
    """
    b, atoms, gram = dictionary.patch_size, dictionary.atoms, dictionary.gram
    center = x.mean(axis=(0, 1)) if dictionary.normalize else np.zeros(x.shape[2], np.float32)
    x = np.ascontiguousarray(x - center)  # otherwise rounding errors in (D/σ) p grow with μ/σ
    mean, deviation, scale = standardisation(x, dictionary, stride)
    encoder = np.ascontiguousarray((atoms * scale).T)
    bias = mean @ encoder
    decoder, offset = atoms * deviation, mean + np.tile(center, b * b)
    steps = min(stops[0], *atoms.shape)

    def code(start: int) -> tuple[int, Floats]:
        block = corners[start : start + BLOCK]
        patches = np.empty((len(block), atoms.shape[1]), dtype=np.float32)
        inner.gather(x, block, b, patches)
        correlations = patches @ encoder
        correlations -= bias
        chosen = np.zeros((len(block), steps), dtype=np.int32)
        weights = np.zeros((len(block), steps), dtype=np.float32)
        inner.pursue(correlations, gram, steps, _NONE, 0.0, chosen, weights, stops[1])
        top, bottom = int(block[0, 0]), int(block[-1, 0]) + b
        strip = np.zeros((bottom - top, *x.shape[1:]), dtype=np.float32)
        inner.add_patches(strip, top, block, b, chosen, weights, decoder, offset)
        return top, strip

    total = np.zeros(x.shape, dtype=np.float32)
    for top, strip in in_threads(code, range(0, len(corners), BLOCK), threads):
        total[top : top + len(strip)] += strip
    return total


class Standardisation(NamedTuple):
    """The z-score of a layer's patches, eq. (17): μ, σ, and 1/σ or 0, each of shape (b·b·c,)."""

    mean: Floats
    deviation: Floats
    scale: Floats


def standardisation(x: Floats, dictionary: Dictionary, stride: int) -> Standardisation:
    """Measure the patches of a centred layer (h, w, c); without ``normalize``, μ = 0 and σ = 1."""
    mean = np.zeros(dictionary.atoms.shape[1], dtype=np.float32)
    deviation = np.ones_like(mean)
    if dictionary.normalize:
        mean, deviation = patch_statistics(x, dictionary.patch_size, stride)
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-6)
    return Standardisation(mean, deviation, scale)


def patches_over_each_pixel(
    corners: NDArray[np.intp], shape: tuple[int, int], patch_size: int
) -> Floats:
    """Count the patches at these corners that contain each pixel, (h, w)."""
    hits = np.zeros(shape, dtype=np.float32)
    hits[corners[:, 0], corners[:, 1]] = 1
    last = patch_size - 1
    counts = cv2.boxFilter(
        hits,
        -1,
        (patch_size, patch_size),
        anchor=(last, last),
        normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )
    return np.rint(counts).astype(np.float32, copy=False)
