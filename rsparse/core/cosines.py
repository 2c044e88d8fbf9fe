"""Build an overcomplete DCT dictionary, which needs no training."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rsparse.errors import InputError

Floats = NDArray[np.float32]


def cosines(patch_size: int, channels: int, n_atoms: int) -> Floats:
    """Build atoms as products of cosines along rows, columns and channels, by rising frequency.

    Parameters
    ----------
    patch_size : int
        b.
    channels : int
        c.
    n_atoms : int
        k.

    Returns
    -------
    float32 array of shape (k, b·b·c)
        Atoms as rows, of norm 1; all but constant atoms have mean 0. With k = b·b·c they form a
        DCT basis; with more, the frequencies are closer together than in an orthonormal basis.

    Raises
    ------
    InputError
        If there are not that many different atoms for this patch size.

    References
    ----------
    The redundant DCT of Elad and Aharon, "Image denoising via sparse and redundant
    representations over learned dictionaries" (2006), Section V.
    """
    per_side = max(patch_size, math.ceil(math.sqrt(n_atoms / channels)))
    side = _basis(patch_size, per_side)
    color = _basis(channels, channels)
    if per_side**2 * channels < n_atoms or patch_size == 1 < n_atoms:
        raise InputError(
            f"there are no {n_atoms} different cosines for patches of {patch_size}×{patch_size}"
        )
    # channel frequencies are scaled like those of an orthonormal basis along a side
    steps = np.arange(per_side) * patch_size / per_side
    frequency = steps[:, None, None] + steps[:, None] + np.arange(channels) * patch_size / channels
    order = np.argsort(frequency, axis=None, kind="stable")[:n_atoms]
    rows, columns, colors = np.unravel_index(order, frequency.shape)
    atoms = np.einsum("ki,kj,kc->kijc", side[rows], side[columns], color[colors])
    return atoms.reshape(n_atoms, -1).astype(np.float32)


def _basis(length: int, n: int) -> NDArray[np.float64]:
    """Cosines (n, length) of norm 1: the first is constant, the others have mean 0."""
    frequencies, places = np.arange(n)[:, None], np.arange(length) + 0.5
    waves = np.cos(np.pi * frequencies * places / n)
    waves[1:] -= waves[1:].mean(axis=1, keepdims=True)
    norms = np.linalg.norm(waves, axis=1, keepdims=True)
    return np.asarray(waves / np.maximum(norms, 1e-12))
