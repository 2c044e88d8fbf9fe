"""The inner loops of sparse coding in NumPy; each step handles all signals of a block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

INDEPENDENT = 1e-5  # squared distance of an atom from the span of the chosen ones
NEGLIGIBLE = 1e-6  # relative to the largest correlation of the first step
_IN_FLOAT64 = 1e-10, 1e-14
_TOGETHER = 1 << 21  # numbers of the vectors v_j held at a time, 8 MB: more would leave the cache


def rounding_limits(kind: np.dtype[Any]) -> tuple[float, float]:
    """``INDEPENDENT`` and ``NEGLIGIBLE`` for float32, and the same for float64."""
    return _IN_FLOAT64 if kind == np.float64 else (INDEPENDENT, NEGLIGIBLE)


def pursue(
    correlations: Floats,
    gram: Floats,
    sparsity: int,
    energies: Floats,
    threshold: float,
    atoms: Indices,
    coefficients: Floats,
    min_correlation: float = 0.0,
) -> None:
    """Choose atoms for a block of signals from their correlations with all atoms.

    Each step subtracts one vector from the correlations of the residual. Let L Lᵀ be the Cholesky
    factorisation of the chosen atoms' Gram matrix. Step s subtracts z_s v_s, where
    v_s = (g_s − Σ_j L_sj v_j) / L_ss, g_s is the chosen atom's row of the Gram matrix, and
    z = L⁻¹ (correlations of the chosen atoms). The earlier vectors give the row L_s: L_sj is the
    chosen atom's entry of v_j. The coefficients solve Lᵀ c = z, once, at the end.

    Parameters
    ----------
    correlations : float32 or float64 array of shape (n, k)
        Overwritten. All other arrays of numbers have its type, in which everything is computed.
    gram : array of shape (k, k)
    sparsity : int
        Maximum number of atoms, at most k.
    energies : array of shape (n,) or (0,)
        Squared norms of the signals; empty if the residual's norm is no stopping criterion.
    threshold : float
        A signal is finished once the squared norm of its residual is at most this.
    atoms, coefficients : int32 and other arrays of shape (n, ≥ sparsity), filled with zeros
        The results.
    min_correlation : float
        A signal is also finished once no atom's correlation with its residual is above this.
    """
    size = max(_TOGETHER // (max(sparsity, 1) * correlations.shape[1]), 16)
    for first in range(0, len(correlations), size):
        some = slice(first, first + size)
        _pursue(
            correlations[some],
            gram,
            (sparsity, threshold, min_correlation),
            energies[some],
            atoms[some],
            coefficients[some],
        )


def _pursue(
    correlations: Floats,
    gram: Floats,
    stops: tuple[int, float, float],
    energies: Floats,
    atoms: Indices,
    coefficients: Floats,
) -> None:
    """``pursue`` for signals that are computed together."""
    (sparsity, threshold, min_correlation), (n, k) = stops, correlations.shape
    kind = correlations.dtype
    independent, negligible = rounding_limits(kind)
    indices = np.arange(n)
    basis = np.zeros((sparsity, n, k), kind)  # v_j
    factor = np.zeros((n, sparsity, sparsity), kind)  # L
    forward = np.zeros((n, sparsity), kind)  # z
    active = np.ones(n, dtype=bool)
    left = energies if len(energies) else np.full(n, np.inf)
    limit = threshold if len(energies) else 0
    smallest = np.maximum(negligible * np.abs(correlations).max(axis=1), kind.type(min_correlation))
    for step in range(sparsity):
        chosen = np.abs(correlations).argmax(axis=1)
        correlation = correlations[indices, chosen]
        row = basis[:step, indices, chosen].T
        pivot = gram[chosen, chosen] - np.square(row).sum(axis=1)
        active &= (np.abs(correlation) > smallest) & (pivot > independent) & (left > limit)
        if not active.any():
            break
        diagonal = np.sqrt(np.where(active, pivot, 1))
        weight = np.where(active, correlation / diagonal, 0)
        atoms[:, step] = np.where(active, chosen, 0)
        factor[:, step, :step] = np.where(active[:, None], row, 0)
        factor[:, step, step] = diagonal
        forward[:, step] = weight
        left = left - weight**2
        if step + 1 < sparsity:
            new = gram[chosen]
            for j in range(step):
                new -= row[:, j, None] * basis[j]
            new /= diagonal[:, None]
            basis[step] = new
            correlations -= weight[:, None] * new
    for i in reversed(range(sparsity)):
        inner = (factor[:, i + 1 :, i] * coefficients[:, i + 1 : sparsity]).sum(axis=1)
        done = factor[:, i, i] > 0
        np.divide(forward[:, i] - inner, factor[:, i, i], out=coefficients[:, i], where=done)


def gather(x: Floats, corners: NDArray[np.intp], patch_size: int, patches: Floats) -> None:
    """Copy the patches of an image into rows of ``b·b·c`` numbers (row, column, channel).

    Parameters
    ----------
    x : float32 array of shape (h, w, c)
    corners : int array of shape (n, 2)
    patch_size : int
        b.
    patches : float32 array of shape (n, b·b·c)
        The result.
    """
    windows = sliding_window_view(x, (patch_size, patch_size), axis=(0, 1))
    chosen = windows[corners[:, 0], corners[:, 1]]  # (n, c, b, b)
    patches[:] = np.moveaxis(chosen, 1, 3).reshape(patches.shape)


def add_patches(
    canvas: Floats,
    top: int,
    corners: NDArray[np.intp],
    patch_size: int,
    atoms: Indices,
    coefficients: Floats,
    dictionary: Floats,
    offset: Floats,
) -> None:
    """Decode patches and add them to a strip of an image, at distinct corners.

    Parameters
    ----------
    canvas : float32 array of shape (rows, w, c)
        The strip, changed in place; its first row is row ``top`` of the image.
    top : int
    corners : int array of shape (n, 2)
    patch_size : int
        b.
    atoms, coefficients : arrays of shape (n, K)
        Codes.
    dictionary : float32 array of shape (k, b·b·c)
        The contribution of each atom.
    offset : float32 array of shape (b·b·c,)
        The contribution of every patch.
    """
    width, channels = canvas.shape[1:]
    patches = np.broadcast_to(offset, (len(atoms), len(offset))).copy()
    for chosen, weight in zip(atoms.T, coefficients.T, strict=True):
        patches += weight[:, None] * dictionary[chosen]
    pixels = patches.reshape(len(corners), -1, channels)
    flat = canvas.reshape(-1, channels)
    start = (corners[:, 0] - top) * width + corners[:, 1]
    for place in range(patch_size**2):  # corners are distinct, so no pixel occurs twice
        row, column = divmod(place, patch_size)
        flat[start + (row * width + column)] += pixels[:, place]


def add_codes(signals: Floats, atoms: Indices, coefficients: Floats, a: Floats, b: Floats) -> None:
    """Add codes c of signals x to the learner's sums A = Σ c cᵀ and B = Σ c xᵀ.

    Parameters
    ----------
    signals : float32 array of shape (n, m)
    atoms, coefficients : arrays of shape (n, K)
        Codes of the signals.
    a : float32 array of shape (k, k)
    b : float32 array of shape (k, m)
        Changed in place.
    """
    codes = np.zeros((len(signals), len(a)), dtype=np.float32)
    indices = np.arange(len(signals))
    for chosen, weight in zip(atoms.T, coefficients.T, strict=True):
        codes[indices, chosen] += weight
    a += codes.T @ codes
    b += codes.T @ signals


def descend(dictionary: Floats, a: Floats, b: Floats) -> None:
    """Optimise the atoms one after another, each with the others fixed.

    Block coordinate descent (Mairal et al. 2009, Algorithm 2): d_j ← d_j + (b_j − a_jᵀ D) / A_jj,
    scaled to norm 1. Atoms that no code uses do not change.

    Parameters
    ----------
    dictionary : float32 array of shape (k, m)
        Overwritten.
    a : float32 array of shape (k, k)
    b : float32 array of shape (k, m)
    """
    for j in np.flatnonzero(np.diagonal(a) > 0):
        atom = dictionary[j] + (b[j] - a[j] @ dictionary) / a[j, j]
        norm = np.linalg.norm(atom)
        if norm > 0:
            dictionary[j] = atom / norm


def smooth(u: Floats, known: Floats, fidelity: Floats, tolerance: float, iterations: int) -> None:
    """Minimise ½ Σ fidelity (u − known)² + Σ φ(|∇u|) by the split Bregman method.

    With μ twice the largest fidelity, s = |∇u + b| and shrinking by sμ / (sμ + 1), as Goldstein
    and Osher (2009) do, φ is the total variation, smoothed for differences well below 1/μ.

    Parameters
    ----------
    u : float32 array of shape (h + 2, w + 2)
        The initial image, padded by repeating its outermost pixels; replaced by the result.
    known, fidelity : float32 arrays of shape (h, w)
        With fidelity 0 a pixel depends only on its neighbours; at least one value is above 0.
    tolerance : float
        Stop when the root mean square change of u in one iteration is at most this.
    iterations : int
        Maximum number of iterations. Each solves once for u, first for one colour of a chessboard,
        then for the other.
    """
    coupling = np.float32(2) * fidelity.max()
    height, width = known.shape
    b_x, b_y, inflow = (np.zeros_like(known) for _ in range(3))
    white = np.indices(known.shape).sum(axis=0) % 2 == 0
    inner = u[1:-1, 1:-1]
    for _ in range(iterations):
        change = 0.0
        for squares in (white, ~white):
            around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
            new = (coupling * (around + inflow) + fidelity * known) / (fidelity + 4 * coupling)
            change += float(np.square(new - inner)[squares].sum())
            inner[squares] = new[squares]
            u[:] = np.pad(inner, 1, mode="edge")
        if change <= tolerance**2 * height * width:
            break
        t_x, t_y = u[1:-1, 2:] - inner + b_x, u[2:, 1:-1] - inner + b_y
        length = coupling * np.hypot(t_x, t_y)
        kept = length / (length + 1)
        b_x, b_y = t_x - kept * t_x, t_y - kept * t_y
        g_x, g_y = kept * t_x - b_x, kept * t_y - b_y
        inflow = -g_x - g_y
        inflow[:, 1:] += g_x[:, :-1]
        inflow[1:] += g_y[:-1]
