"""Keep learned dictionaries useful for OMP: replace dead and near-duplicate atoms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsparse.core.omp import omp, reconstruct
from rsparse.core.online import OnlineLearner, unit

Floats = NDArray[np.float32]

_ROUNDS = 5


def clean_atoms(
    learner: OnlineLearner, pool: Floats, max_coherence: float, rng: np.random.Generator
) -> None:
    """Replace dead and near-duplicate atoms by poorly represented signals.

    Parameters
    ----------
    learner : OnlineLearner
        Its atoms are replaced.
    pool : float32 array of shape (n, m)
        Signals, none of them 0; with n = 0 nothing is done.
    max_coherence : float
        Two atoms whose inner product is larger in magnitude are near-duplicates.
    rng : numpy Generator
    """
    for _ in range(_ROUNDS if len(pool) else 0):
        bad = _bad_atoms(learner.atoms, pool, max_coherence)
        if not bad.any():
            return
        learner.replace(*_replacements(learner.atoms, bad, pool, max_coherence, rng))


def _bad_atoms(atoms: Floats, pool: Floats, max_coherence: float) -> NDArray[np.bool_]:
    """Atoms that no patch of the pool uses, and the second of each near-duplicate pair."""
    chosen, coefficients = omp(pool, atoms, 2)
    used = np.zeros(len(atoms), dtype=bool)
    used[chosen[coefficients != 0]] = True
    alike = np.abs(np.triu(atoms @ atoms.T, k=1)) > max_coherence
    return np.asarray(~used | alike.any(axis=0))


def _replacements(
    atoms: Floats,
    bad: NDArray[np.bool_],
    pool: Floats,
    max_coherence: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], Floats]:
    """Indices of bad atoms, and for each a patch that the good atoms represent poorly.

    A patch that is too similar to another atom is skipped. If there are too few patches, the
    remaining bad atoms are kept.
    """
    kept, places = atoms[~bad], np.flatnonzero(bad)
    residual = pool - reconstruct(*omp(pool, kept, 2), kept)
    order = np.argsort(np.linalg.norm(residual, axis=1))[::-1]
    order[: 4 * len(places)] = rng.permutation(order[: 4 * len(places)])
    candidates = unit(pool[order])
    free = ~(np.abs(candidates @ kept.T) > max_coherence).any(axis=1)
    taken: list[int] = []
    while free.any() and len(taken) < len(places):
        taken.append(int(free.argmax()))
        free &= np.abs(candidates @ candidates[taken[-1]]) <= max_coherence
        free[taken[-1]] = False
    return places[: len(taken)], candidates[taken]
