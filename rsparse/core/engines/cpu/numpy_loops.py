"""The inner loops of sparse coding in NumPy: all signals of a block take a step together."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

INDEPENDENT = 1e-5  # squared distance of an atom from the span of the chosen ones
NEGLIGIBLE = 1e-6  # a correlation beside the largest of the first step


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

    The correlations of the residual shrink by one vector a step. With L Lᵀ the Cholesky
    factorisation of the chosen atoms' Gram matrix, that of step s is z_s v_s, where
    v_s = (g_s − Σ_j L_sj v_j) / L_ss, g_s is the chosen atom's row of the Gram matrix, and
    z = L⁻¹ (correlations of the chosen atoms). The row L_s is read off the earlier vectors:
    L_sj is the chosen atom's entry of v_j. The coefficients solve Lᵀ c = z, once, at the end.

    Parameters
    ----------
    correlations : float32 array of shape (n, k)
        Overwritten.
    gram : float32 array of shape (k, k)
    sparsity : int
        The largest number of atoms, at most k.
    energies : float32 array of shape (n,) or (0,)
        Squared norms of the signals; empty where the residual stops nothing.
    threshold : float
        Squared norm of the residual at which a signal is done.
    atoms, coefficients : int32 and float32 arrays of shape (n, ≥ sparsity), filled with zeros
        The results.
    min_correlation : float
        A signal is done, too, once no atom's correlation with its residual is larger.
    """
    n, k = correlations.shape
    everyone = np.arange(n)
    basis = np.zeros((sparsity, n, k), dtype=np.float32)  # v_j
    factor = np.zeros((n, sparsity, sparsity), dtype=np.float32)  # L
    forward = np.zeros((n, sparsity), dtype=np.float32)  # z
    active = np.ones(n, dtype=bool)
    left = energies if len(energies) else np.full(n, np.inf)
    limit = threshold if len(energies) else 0
    smallest = np.maximum(
        NEGLIGIBLE * np.abs(correlations).max(axis=1), np.float32(min_correlation)
    )
    for step in range(sparsity):
        chosen = np.abs(correlations).argmax(axis=1)
        found = correlations[everyone, chosen]
        row = basis[:step, everyone, chosen].T
        pivot = gram[chosen, chosen] - np.square(row).sum(axis=1)
        active &= (np.abs(found) > smallest) & (pivot > INDEPENDENT) & (left > limit)
        if not active.any():
            break
        diagonal = np.sqrt(np.where(active, pivot, 1))
        weight = np.where(active, found / diagonal, 0)
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
    """Add the patches that codes stand for to a strip of an image, at distinct corners.

    Parameters
    ----------
    canvas : float32 array of shape (rows, w, c)
        Added to; its first row is row ``top`` of the image.
    top : int
    corners : int array of shape (n, 2)
    patch_size : int
        b.
    atoms, coefficients : arrays of shape (n, K)
        Codes.
    dictionary : float32 array of shape (k, b·b·c)
        What an atom adds.
    offset : float32 array of shape (b·b·c,)
        What every patch adds.
    """
    width, channels = canvas.shape[1:]
    patches = np.broadcast_to(offset, (len(atoms), len(offset))).copy()
    for chosen, weight in zip(atoms.T, coefficients.T, strict=True):
        patches += weight[:, None] * dictionary[chosen]
    pixels = patches.reshape(len(corners), -1, channels)
    flat = canvas.reshape(-1, channels)
    start = (corners[:, 0] - top) * width + corners[:, 1]
    for place in range(patch_size**2):  # distinct corners: no pixel twice in a turn
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
        Added to.
    """
    codes = np.zeros((len(signals), len(a)), dtype=np.float32)
    everyone = np.arange(len(signals))
    for chosen, weight in zip(atoms.T, coefficients.T, strict=True):
        codes[everyone, chosen] += weight
    a += codes.T @ codes
    b += codes.T @ signals


def descend(dictionary: Floats, a: Floats, b: Floats) -> None:
    """Improve the atoms one after another, each the best there is for the others as they are.

    Block coordinate descent (Mairal et al. 2009, Algorithm 2): d_j ← d_j + (b_j − a_jᵀ D) / A_jj,
    scaled to norm 1. Atoms that no code has used stay.

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
    and Osher (2009) do, φ is the total variation, rounded off for differences well below 1/μ.

    Parameters
    ----------
    u : float32 array of shape (h + 2, w + 2)
        Where to start, its outermost pixels repeated around it; the result replaces it.
    known, fidelity : float32 arrays of shape (h, w)
        Fidelity 0 leaves a pixel to its neighbours; one at least is above 0.
    tolerance : float
        Stops when an iteration changes u by less, in the root of the mean square.
    iterations : int
        At most so many; each solves for u once, in the order of a chessboard's colours.
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
