"""Orthogonal Matching Pursuit (Pati et al. 1993) for many signals at once.

Batch-OMP (Rubinstein, Zibulevsky, Elad 2008): with the dictionary's Gram matrix and a Cholesky
factor that grows by a row a step, no residual is ever formed. All signals of a block take a step
together, so the loops below run over atoms, not over signals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_BLOCK = 2048  # signals coded together: their correlations stay in the second-level cache
_INDEPENDENT = 1e-5  # squared distance of an atom from the span of the chosen ones


def gram_matrix(dictionary: Floats) -> Floats:
    """Inner products of all atoms, (k, k), of a dictionary (k, m)."""
    return dictionary @ dictionary.T


def omp(
    signals: Floats, dictionary: Floats, sparsity: int, gram: Floats | None = None
) -> tuple[NDArray[np.intp], Floats]:
    """Represent each signal by at most K atoms, chosen greedily and fitted by least squares.

    Parameters
    ----------
    signals : float32 array of shape (n, m)
    dictionary : float32 array of shape (k, m)
        Atoms as rows, each of norm 1.
    sparsity : int
        K; larger is more faithful, and slower.
    gram : float32 array of shape (k, k), optional
        ``gram_matrix(dictionary)``, if it is at hand.

    Returns
    -------
    atoms : int array of shape (n, K)
        The chosen atoms in the order of choice.
    coefficients : float32 array of shape (n, K)
        Their coefficients; 0 from where a signal was represented exactly, or the next atom would
        have been a combination of the chosen ones.

    References
    ----------
    Pati, Rezaiifar, Krishnaprasad (1993); Rubinstein, Zibulevsky, Elad (2008).
    """
    steps = min(sparsity, *dictionary.shape)
    gram = gram_matrix(dictionary) if gram is None else gram
    atoms = np.zeros((len(signals), sparsity), dtype=np.intp)
    coefficients = np.zeros((len(signals), sparsity), dtype=np.float32)
    for start in range(0, len(signals), _BLOCK):
        block = slice(start, start + _BLOCK)
        found = _code_block(signals[block] @ dictionary.T, gram, steps)
        atoms[block, :steps], coefficients[block, :steps] = found
    return atoms, coefficients


def reconstruct(atoms: NDArray[np.intp], coefficients: Floats, dictionary: Floats) -> Floats:
    """The signals (n, m) that ``omp``'s codes stand for."""
    signals = np.zeros((len(atoms), dictionary.shape[1]), dtype=np.float32)
    for chosen, weight in zip(atoms.T, coefficients.T, strict=True):
        signals += weight[:, None] * dictionary[chosen]
    return signals


def _code_block(correlation: Floats, gram: Floats, steps: int) -> tuple[NDArray[np.intp], Floats]:
    """Codes of one block, from its correlations with all atoms (n, k)."""
    n = len(correlation)
    everyone = np.arange(n)
    atoms = np.zeros((n, steps), dtype=np.intp)
    factor = np.zeros((n, steps, steps), dtype=np.float32)  # Cholesky: L Lᵀ = Gram of the chosen
    forward = np.zeros((n, steps), dtype=np.float32)  # solves L · forward = first correlations
    coefficients = np.zeros((n, steps), dtype=np.float32)
    active = np.ones(n, dtype=bool)
    scale = np.abs(correlation).max(axis=1)
    residual = correlation.copy()
    for step in range(steps):
        chosen = np.abs(residual).argmax(axis=1)
        active &= np.abs(residual[everyone, chosen]) > 1e-6 * scale
        row = _solve_lower(factor, gram[atoms[:, :step], chosen[:, None]], step)
        pivot = gram[chosen, chosen] - np.square(row).sum(axis=1)
        active &= pivot > _INDEPENDENT
        if not active.any():
            break
        diagonal = np.sqrt(np.where(active, pivot, 1))
        atoms[:, step] = np.where(active, chosen, 0)
        factor[:, step, :step] = row
        factor[:, step, step] = diagonal
        target = correlation[everyone, chosen] - (row * forward[:, :step]).sum(axis=1)
        forward[:, step] = np.where(active, target / diagonal, 0)
        fitted = _solve_upper(factor, forward, step + 1)
        coefficients[active, : step + 1] = fitted[active]
        if step + 1 < steps:
            _subtract(residual, correlation, gram, atoms[:, : step + 1], coefficients)
    return atoms, coefficients


def _solve_lower(factor: Floats, right: Floats, size: int) -> Floats:
    """Solve L w = right for each signal; L is the leading (size, size) part."""
    solution = np.zeros_like(right)
    for i in range(size):
        inner = (factor[:, i, :i] * solution[:, :i]).sum(axis=1)
        solution[:, i] = (right[:, i] - inner) / factor[:, i, i]
    return solution


def _solve_upper(factor: Floats, right: Floats, size: int) -> Floats:
    """Solve Lᵀ w = right for each signal; L is the leading (size, size) part."""
    solution = np.zeros((len(right), size), dtype=np.float32)
    for i in reversed(range(size)):
        inner = (factor[:, i + 1 : size, i] * solution[:, i + 1 :]).sum(axis=1)
        solution[:, i] = (right[:, i] - inner) / factor[:, i, i]
    return solution


def _subtract(
    residual: Floats,
    correlation: Floats,
    gram: Floats,
    atoms: NDArray[np.intp],
    coefficients: Floats,
) -> None:
    """Correlations of the residual: the first ones less what the chosen atoms explain."""
    np.copyto(residual, correlation)
    for place in range(atoms.shape[1]):
        residual -= coefficients[:, place, None] * gram[atoms[:, place]]
