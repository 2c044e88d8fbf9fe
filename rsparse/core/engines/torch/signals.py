"""Code signals on a device, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rsparse.core.engines.torch.precision import float32_in_full
from rsparse.core.engines.torch.pursuit import pursue

_NUMBERS = 1 << 27
"""Numbers of a block's correlations."""


def code_signals(
    signals: Tensor,
    atoms: Tensor,
    scale: float,
    sparsity: int,
    energy: float,
    correlation: float,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Represent each signal by at most K atoms; ``core.omp.omp`` on a device.

    Parameters
    ----------
    signals : float32 or float64 tensor of shape (n, m)
    atoms : tensor of shape (k, m)
        Rows of norm 1, of the signals' type and device.
    scale : float
        The signals are multiplied by it first.
    sparsity : int
        K, at most k.
    energy : float
        A signal is finished once the squared norm of its residual is at most this; 0 for never.
    correlation : float
        A signal is also finished once no atom's correlation with its residual is above this.

    Yields
    ------
    start : int
        The number of a block's first signal.
    chosen, coefficients : int64 and other tensors of shape (b, K)
    """
    size = max(1, _NUMBERS // max(len(atoms), sparsity**2))
    with torch.no_grad():
        with float32_in_full():
            gram = atoms @ atoms.T
        for start in range(0, len(signals), size):
            block = signals[start : start + size] * scale
            with float32_in_full():
                energies = block.square().sum(dim=1) if energy > 0 else None
                stops = sparsity, correlation, energies, energy
                chosen, coefficients = pursue(block @ atoms.T, gram, *stops)
            yield start, chosen.T, coefficients.T
