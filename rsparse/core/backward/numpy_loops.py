"""The inner loops of the backward passes in NumPy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

INDEPENDENT = 0.01
"""Square of what of an atom has to be left beside earlier ones for it to be held.

Many atoms of a code of large K are almost combinations of others. A smaller bound holds them, but
in float32 the projection then multiplies rounding by a hundred and more.
"""


def strongest(correlations: Floats, counts: Indices, atoms: Indices) -> None:
    """Find the atoms with the largest absolute correlations; ties go to the lower index.

    Parameters
    ----------
    correlations : float32 array of shape (n, k)
    counts : int32 array of shape (n,)
        How many atoms to find for each signal, 1 to u.
    atoms : int32 array of shape (n, u), u at most k
        The result, in descending order of the absolute correlation; −1 beyond ``counts``.
    """
    u = atoms.shape[1]
    order = np.argsort(-np.abs(correlations), axis=1, kind="stable")[:, :u]
    atoms[:] = np.where(np.arange(u) < counts[:, None], order, -1)


def pull_back(
    upper: Floats,
    x: Floats,
    corners: NDArray[np.intp],
    patch_size: int,
    held: Indices,
    atoms: Indices,
    coefficients: Floats,
    dictionary: Floats,
    gram: Floats,
    mean: Floats,
    deviation: Floats,
    scale: Floats,
    lower: Floats,
    mean_bar: NDArray[np.float64],
    deviation_bar: NDArray[np.float64],
) -> None:
    """Carry a gradient through the z-score, the projection onto held atoms, and back.

    A patch p becomes σ ⊙ ẑ + μ, where ẑ is the code of z = (p − μ)/σ. With P the projection onto
    the patch's held atoms and g the gradient of its output, q = P (σ ⊙ g), and p has the gradient
    q/σ through z. Summed over all patches, μ has the gradient g − q/σ and σ has g ⊙ ẑ − z ⊙ q/σ.

    Parameters
    ----------
    upper : float32 array of shape (h, w, c)
        Gradient of the sum of decoded patches.
    x : float32 array of shape (h, w, c)
        The layer that was coded, minus its centre.
    corners : int array of shape (n, 2)
    patch_size : int
        b.
    held : int32 array of shape (n, u)
        The atoms of P; −1 ends a shorter list. An atom is ignored if the square of what the earlier
        ones leave of it is no more than ``INDEPENDENT``.
    atoms, coefficients : arrays of shape (n, K)
        The codes; unused entries have the coefficient 0.
    dictionary, gram : float32 arrays of shape (k, b·b·c) and (k, k)
    mean, deviation, scale : float32 arrays of shape (b·b·c,)
        See ``Standardisation``.
    lower : float32 array of shape (h, w, c)
        The gradient of ``x`` through z is added to it.
    mean_bar, deviation_bar : float64 arrays of shape (b·b·c,)
        The gradients of μ and σ are added to them.
    """
    for number, (row, column) in enumerate(corners):
        place = slice(row, row + patch_size), slice(column, column + patch_size)
        g, z = upper[place].ravel(), (x[place].ravel() - mean) * scale
        q = _projected(deviation * g, held[number], dictionary, gram)
        coded = coefficients[number] @ dictionary[atoms[number]]
        lower[place] += (scale * q).reshape(patch_size, patch_size, -1)
        mean_bar += g - scale * q
        deviation_bar += g * coded - scale * z * q


def _projected(signal: Floats, held: Indices, dictionary: Floats, gram: Floats) -> Floats:
    """Project a signal (m,) onto the span of atoms, by the Cholesky factor of their Gram matrix."""
    kept: list[int] = []
    factor = np.zeros((len(held), len(held)), dtype=np.float32)
    solved = np.zeros(len(held), dtype=np.float32)
    for atom in held:
        if atom < 0:
            break
        s, row = len(kept), np.zeros(len(kept), dtype=np.float32)
        for j, other in enumerate(kept):
            row[j] = (gram[atom, other] - row[:j] @ factor[j, :j]) / factor[j, j]
        pivot = gram[atom, atom] - row @ row
        if pivot > INDEPENDENT:
            factor[s, :s], factor[s, s] = row, np.sqrt(pivot)
            solved[s] = (dictionary[atom] @ signal - row @ solved[:s]) / factor[s, s]
            kept.append(int(atom))
    for j in reversed(range(len(kept))):
        rest = factor[j + 1 : len(kept), j] @ solved[j + 1 : len(kept)]
        solved[j] = (solved[j] - rest) / factor[j, j]
    return solved[: len(kept)] @ dictionary[kept]


def bilateral_gradient(
    x: Floats, upper: Floats, reach: int, space: Floats, colour: Floats, slope: float, lower: Floats
) -> None:
    """Carry a gradient through a bilateral filter, including the derivative of its weights.

    A pixel i becomes y_i = Σ_j w_ij x_j / W_i. Each pair of pixels is visited once, since w is
    symmetric.

    Parameters
    ----------
    x : float32 array of shape (3, h + 2r, w + 2r)
        Whole grey levels, padded as the filter pads.
    upper : float32 array like ``x``
        Gradient of the filtered image; 0 in the padding.
    reach : int
        r, the radius of the neighbourhood.
    space : float32 array of shape (r + 1, r + 1)
        Weight of an offset; 0 outside the neighbourhood.
    colour : float32 array of shape (766,)
        Weight of an L₁ distance between colours.
    slope : float
        The weight's derivative by the distance d, divided by the weight and by d.
    lower : float32 array like ``x``
        The gradient of ``x`` is added to it.
    """
    weights, sums = np.ones(x.shape[1:], dtype=np.float32), x.copy()
    for here, there, w, _ in _pairs(x, reach, space, colour):
        weights[here] += w
        weights[there] += w
        sums[:, *here] += w * x[:, *there]
        sums[:, *there] += w * x[:, *here]
    share = upper / weights
    level = (share * sums / weights).sum(axis=0)
    lower += share
    for here, there, w, distance in _pairs(x, reach, space, colour):
        a, b = x[:, *here], x[:, *there]
        effect = (share[:, *here] * b + share[:, *there] * a).sum(axis=0)
        effect = (effect - level[here] - level[there]) * w * (np.float32(slope) * distance)
        turn = effect * np.sign(b - a)
        lower[:, *there] += w * share[:, *here] + turn
        lower[:, *here] += w * share[:, *there] - turn


def _pairs(
    x: Floats, reach: int, space: Floats, colour: Floats
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice], Floats, Floats]]:
    """Yield each offset's pixels and their neighbours, the weights, and the colour distances."""
    height, width = x.shape[1:]
    for down in range(reach + 1):
        for right in range(-reach if down else 1, reach + 1):
            if space[down, abs(right)] == 0:
                continue
            left = max(0, -right)
            here = slice(0, height - down), slice(left, width - max(0, right))
            there = slice(down, height), slice(left + right, width + min(0, right))
            distance = np.abs(x[:, *here] - x[:, *there]).sum(axis=0)
            w = space[down, abs(right)] * colour[distance.astype(np.intp)]
            yield here, there, w, distance
