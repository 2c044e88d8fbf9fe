"""Random atoms, and codes with known coefficients."""

from __future__ import annotations

import numpy as np


def random_atoms(k: int, m: int, seed: int = 0, norms: tuple[float, float] = (1, 1)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((k, m))
    return atoms / np.linalg.norm(atoms, axis=1, keepdims=True) * rng.uniform(*norms, (k, 1))


def planted(atoms: np.ndarray, sparsity: int, n: int, seed: int = 1) -> np.ndarray:
    """Codes (n, k) with K coefficients of 1 to 2 in magnitude each."""
    rng = np.random.default_rng(seed)
    codes = np.zeros((n, len(atoms)))
    for code in codes:
        places = rng.choice(len(atoms), sparsity, replace=False)
        code[places] = rng.uniform(1, 2, sparsity) * rng.choice([-1, 1], sparsity)
    return codes
