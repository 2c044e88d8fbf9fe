"""Batch-OMP (Rubinstein, Zibulevsky, Elad 2008) in torch, for all signals of a chunk together.

The recurrence is the same as in ``numpy_loops.pursue``: each step subtracts z_s v_s from the
residual's correlations. There each v_s is stored, with k numbers per signal. Here only its
coordinates t_s in the chosen atoms' rows of the Gram matrix are stored, v_s = Σ_i t_si g_i, which
are at most K numbers. From v_s = (g_s − Σ_j L_sj v_j) / L_ss follows
t_s = (e_s − Σ_j L_sj t_j) / L_ss. L_sj, the chosen atom's entry of v_j, is the sum over i of t_ji
times that atom's inner product with atom i. The coefficients are Σ_s z_s t_s, so no system has to
be solved at the end.

Therefore at most two arrays (n, k) exist at a time, and memory traffic grows with K instead of K².
All other arrays have the signals as the last axis, for contiguous access. Sums over chosen atoms
are computed one term after another, so their order does not depend on n.

``triton.pursuit`` does the same in one kernel.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from rsparse.core.engines.cpu.numpy_loops import rounding_limits


def pursue(
    correlations: Tensor,
    gram: Tensor,
    sparsity: int,
    min_correlation: float = 0.0,
    energies: Tensor | None = None,
    threshold: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Choose atoms for signals from their correlations with all atoms.

    Parameters
    ----------
    correlations : float32 or float64 tensor of shape (n, k)
        Overwritten. All other tensors of numbers have its type.
    gram : tensor of shape (k, k)
    sparsity : int
        Maximum number of atoms, at most k.
    min_correlation : float
        A signal is finished once no atom's correlation with its residual is above this.
    energies : tensor of shape (n,), optional
        Squared norms of the signals; without them the residual's norm is no stopping criterion.
    threshold : float
        A signal is finished once the squared norm of its residual is at most this.

    Returns
    -------
    atoms : int64 tensor of shape (K, n)
    coefficients : tensor of shape (K, n)
        0 from the step on at which the signal is finished, or at which the next atom would be a
        linear combination of the chosen ones.
    """
    n = len(correlations)
    in_float64 = gram.dtype == torch.float64
    independent, negligible = rounding_limits(np.dtype(np.float64 if in_float64 else np.float32))
    atoms = torch.zeros((sparsity, n), dtype=torch.int64, device=gram.device)
    coordinates = gram.new_zeros((sparsity, sparsity, n))  # t_s
    coefficients = gram.new_zeros((sparsity, n))
    active = torch.ones(n, dtype=torch.bool, device=gram.device)
    smallest = gram.new_zeros(n)
    for step in range(sparsity):
        chosen, found = _strongest(correlations)
        if step == 0:
            smallest = (negligible * found.abs()).clamp(min=min_correlation)
        row = _factor_row(coordinates[:step], gram[atoms[:step], chosen])
        pivot = gram.diagonal()[chosen]
        for entry in row:
            pivot = pivot - entry.square()
        active &= (found.abs() > smallest) & (pivot > independent)
        if energies is not None:
            active &= energies > threshold
        row *= active  # otherwise the values of finished signals could overflow
        diagonal = torch.where(active, pivot, 1).sqrt_()
        new = coordinates[step]
        for j in range(step):
            new[:step].addcmul_(row[j], coordinates[j, :step], value=-1)
        new[step] = 1
        new /= diagonal
        weight = torch.where(active, found / diagonal, 0)
        if energies is not None:
            energies = energies - weight.square()
        change = weight * new[: step + 1]
        coefficients[: step + 1] += change
        atoms[step] = torch.where(active, chosen, 0)
        if step + 1 < sparsity:
            correlations -= weighted_rows(gram, atoms[: step + 1].T, change.T)
    return atoms, coefficients


def weighted_rows(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Compute Σ_j weights[i, j] · table[rows[i, j]] for each i, without storing the products.

    Parameters
    ----------
    table : float32 tensor of shape (k, m)
    rows : int32 or int64 tensor of shape (n, j)
    weights : float32 tensor of shape (n, j)

    Returns
    -------
    float32 tensor of shape (n, m)
    """
    return embedding_bag(
        rows.contiguous(), table, per_sample_weights=weights.contiguous(), mode="sum"
    )


def _strongest(correlations: Tensor) -> tuple[Tensor, Tensor]:
    """Find the index and value of each row's largest magnitude; ties go to the lower index.

    This reads the correlations twice, which is faster than writing and reading their magnitudes.
    """
    high, where_high = correlations.max(dim=1)
    low, where_low = correlations.min(dim=1)
    is_high = (high > -low) | ((high == -low) & (where_high < where_low))
    return torch.where(is_high, where_high, where_low), torch.where(is_high, high, low)


def _factor_row(coordinates: Tensor, products: Tensor) -> Tensor:
    """Compute L_sj = Σ_i t_ji ⟨atom i, chosen atom⟩ (s, n) from t (s, K, n) and products (s, n)."""
    row = torch.zeros_like(products)
    for i, product in enumerate(products):
        row.addcmul_(coordinates[:, i], product)
    return row
