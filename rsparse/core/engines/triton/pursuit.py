"""Batch-OMP in one kernel (Triton): ``torch.pursuit.pursue`` in a GPU's registers.

A program runs all steps for some signals. It reads the correlations of their residuals once and
keeps them in registers. Each step reads the rows of the Gram matrix of the signal's atoms, in total
K (K − 1) / 2 rows, which fit into a GPU's caches. Thus only one of the 6 K − 4 passes over memory
of torch's operations remains.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from rsparse.core.engines.cpu.numpy_loops import INDEPENDENT, NEGLIGIBLE
from rsparse.core.engines.torch import pursuit as in_torch

LARGEST_K, LARGEST_SPARSITY = 8192, 32
_NUMBERS = 512  # correlations per warp, 16 registers per thread


def fits(k: int, sparsity: int) -> bool:
    """Return whether a signal's correlations and its code fit into a program's registers."""
    return k <= LARGEST_K and sparsity <= LARGEST_SPARSITY


def pursue(
    correlations: Tensor, gram: Tensor, sparsity: int, min_correlation: float = 0.0
) -> tuple[Tensor, Tensor]:
    """See ``torch.pursuit.pursue``, which is used for signals that do not fit."""
    n, k = correlations.shape
    if not fits(k, sparsity):
        return in_torch.pursue(correlations, gram, sparsity, min_correlation)
    atoms = torch.empty((sparsity, n), dtype=torch.int64, device=gram.device)
    coefficients = torch.empty((sparsity, n), device=gram.device)
    if n:
        shape = _launch_shape(k, sparsity)
        _pursue[(triton.cdiv(n, shape["n_signals"]),)](
            correlations.contiguous(),
            gram,
            atoms,
            coefficients,
            n,
            k,
            sparsity,
            min_correlation,
            NEGLIGIBLE,
            INDEPENDENT,
            **shape,
        )
    return atoms, coefficients


def _launch_shape(k: int, sparsity: int) -> dict[str, Any]:
    """Return a program's numbers of signals, atoms, steps (powers of two) and warps."""
    n_atoms = triton.next_power_of_2(max(k, 32))
    return {
        "n_signals": max(1, _NUMBERS // n_atoms),
        "width": n_atoms,
        "n_steps": triton.next_power_of_2(sparsity),
        "num_warps": max(1, n_atoms // 1024),
    }


@triton.jit
def _pursue(
    correlations,
    gram,
    atoms,
    coefficients,
    n,
    k,
    sparsity,
    min_correlation,
    negligible,
    independent,
    n_signals: tl.constexpr,
    width: tl.constexpr,
    n_steps: tl.constexpr,
):
    signal = tl.program_id(0).to(tl.int64) * n_signals + tl.arange(0, n_signals)
    exists = signal < n
    atom, place = tl.arange(0, width)[None, :], tl.arange(0, n_steps)[None, :]
    is_atom = atom < k
    left = tl.load(
        correlations + signal[:, None] * k + atom, mask=exists[:, None] & is_atom, other=0.0
    )
    chosen = tl.zeros((n_signals, n_steps), tl.int32)
    code = tl.zeros((n_signals, n_steps), tl.float32)
    # t_s (see torch/pursuit.py) by s, then by the chosen atom
    coordinates = tl.zeros((n_signals, n_steps, n_steps), tl.float32)
    active = exists
    smallest = tl.maximum(negligible * tl.max(tl.abs(left), axis=1), min_correlation)
    step, goes_on = 0, True
    while goes_on:
        best = tl.argmax(tl.abs(left), axis=1)  # ties go to the lower index
        found = tl.sum(tl.where(atom == best[:, None], left, 0.0), axis=1)
        products = tl.load(gram + chosen * k + best[:, None], mask=place < step, other=0.0)
        row = tl.sum(coordinates * products[:, None, :], axis=2)  # L_s
        pivot = tl.load(gram + best * (k + 1)) - tl.sum(row * row, axis=1)
        active = active & (tl.abs(found) > smallest) & (pivot > independent)
        row = tl.where(active[:, None], row, 0.0)
        diagonal = tl.sqrt(tl.where(active, pivot, 1.0))
        new = tl.where(place == step, 1.0, 0.0) - tl.sum(coordinates * row[:, :, None], axis=1)
        new = new / diagonal[:, None]
        coordinates = tl.where(
            tl.arange(0, n_steps)[None, :, None] == step, new[:, None, :], coordinates
        )
        change = tl.where(active, found / diagonal, 0.0)[:, None] * new
        code += change
        chosen = tl.where((place == step) & active[:, None], best[:, None], chosen)
        step += 1
        goes_on = (step < sparsity) & (tl.max(active.to(tl.int32), axis=0) > 0)
        if goes_on:
            for j in range(step):
                weight = tl.sum(tl.where(place == j, change, 0.0), axis=1)
                number = tl.sum(tl.where(place == j, chosen, 0), axis=1)
                rows = tl.load(gram + number[:, None] * k + atom, mask=is_atom, other=0.0)
                left -= weight[:, None] * rows
    there = place.to(tl.int64) * n + signal[:, None]
    kept = exists[:, None] & (place < sparsity)
    tl.store(atoms + there, chosen.to(tl.int64), mask=kept)
    tl.store(coefficients + there, code, mask=kept)
