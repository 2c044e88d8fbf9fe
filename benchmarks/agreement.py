"""Whether our codes are those of a textbook OMP: scikit-learn's, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from peers import scikit_codes

from rsparse.core.omp import omp, reconstruct

_CHUNK = 10_000


@dataclass(frozen=True)
class Agreement:
    """Over ``patches``: the share with the same atoms, and residual norms beside each other."""

    patches: int
    same_support: float
    residual: float  # largest |ours − theirs| / norm of the patch where the supports are the same


def agreement(signals: NDArray[np.float32], atoms: NDArray[np.float32], sparsity: int) -> Agreement:
    """Compare ``omp`` with scikit-learn's ``orthogonal_mp_gram`` in float64."""
    exact = atoms.astype(np.float64)
    same, worst = 0, 0.0
    for start in range(0, len(signals), _CHUNK):
        chunk = signals[start : start + _CHUNK]
        chosen, weights = omp(chunk, atoms, sparsity)
        theirs = scikit_codes(chunk.astype(np.float64) @ exact.T, exact @ exact.T, sparsity)
        ours = np.zeros(theirs.shape, dtype=bool)
        rows = np.broadcast_to(np.arange(len(chunk))[:, None], chosen.shape)
        ours[rows[weights != 0], chosen[weights != 0]] = True
        equal = (ours == (theirs != 0)).all(axis=1)
        same += int(equal.sum())
        norms = np.maximum(np.linalg.norm(chunk, axis=1), 1e-6)
        left = np.linalg.norm(chunk - reconstruct(chosen, weights, atoms), axis=1)
        gap = np.abs(left - np.linalg.norm(chunk - theirs @ exact, axis=1)) / norms
        worst = max(worst, float(gap[equal].max(initial=0)))
    return Agreement(len(signals), same / len(signals), worst)
