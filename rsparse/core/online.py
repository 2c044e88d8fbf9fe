"""Learn dictionaries online (Mairal et al. 2009), one mini-batch after another.

``OmpLearner`` codes by Orthogonal Matching Pursuit, as purifying does, so the dictionary is fitted
to its later use. ``LassoLearner`` uses scikit-learn, for the l1 penalty of the paper's eq. (20).
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rsparse.core.engines.cpu import loops
from rsparse.core.omp import gram_matrix, omp

Floats = NDArray[np.float32]


class OnlineLearner(Protocol):
    """A dictionary that is improved by mini-batches of patches."""

    atoms: Floats

    def partial_fit(self, batch: Floats) -> None:
        """Learn from patches (n, m)."""

    def replace(self, places: NDArray[np.intp], atoms: Floats) -> None:
        """Replace the atoms at ``places``, and forget what they were learned from."""


class OmpLearner:
    """Codes a batch by OMP, then does one round of block coordinate descent over the atoms.

    Past batches are remembered in A = Σ c cᵀ and B = Σ c xᵀ. Older ones count less: before batch t,
    both are multiplied by 1 − 1/t.

    Parameters
    ----------
    atoms : float32 array of shape (k, m)
        The initial dictionary; rows of norm 1.
    sparsity : int
        Atoms per patch K while learning.
    threads : int
        Threads for coding. Their number does not change a byte of the atoms.
    tolerance, min_correlation : float
        As in ``omp``.
    """

    def __init__(
        self,
        atoms: Floats,
        sparsity: int,
        threads: int = 1,
        *,
        tolerance: float = 0.0,
        min_correlation: float = 0.0,
    ) -> None:
        self.atoms = atoms.copy()
        self._sparsity = sparsity
        self._code = partial(
            omp, threads=threads, tolerance=tolerance, min_correlation=min_correlation
        )
        self._batches = 0
        self._a = np.zeros((len(atoms), len(atoms)), dtype=np.float32)
        self._b = np.zeros(atoms.shape, dtype=np.float32)

    def partial_fit(self, batch: Floats) -> None:
        """Learn from patches (n, m)."""
        gram = gram_matrix(self.atoms)
        codes = self._code(batch, self.atoms, self._sparsity, gram)
        self._batches += 1
        forgetting = np.float32(1 - 1 / self._batches)
        self._a *= forgetting
        self._b *= forgetting
        loops.fastest.add_codes(batch, *codes, self._a, self._b)
        loops.fastest.descend(self.atoms, self._a, self._b)

    def replace(self, places: NDArray[np.intp], atoms: Floats) -> None:
        """Replace the atoms at ``places``, and forget what they were learned from."""
        self.atoms[places] = atoms
        self._a[places] = 0
        self._a[:, places] = 0
        self._b[places] = 0


class FixedAtoms:
    """Atoms that never change.

    Parameters
    ----------
    atoms : float32 array of shape (k, m)
    """

    def __init__(self, atoms: Floats) -> None:
        self.atoms = atoms

    def partial_fit(self, batch: Floats) -> None:
        """Learn nothing."""

    def replace(self, places: NDArray[np.intp], atoms: Floats) -> None:
        """Replace nothing."""


class LassoLearner:
    """Learns with scikit-learn's ``MiniBatchDictionaryLearning``.

    Parameters
    ----------
    atoms : float32 array of shape (k, m)
        The initial dictionary; rows of norm 1.
    penalty : float
        β of eq. (20), the weight of the l1 norm.
    algorithm : str
        ``"lars"`` or ``"cd"``.
    seed : int
    """

    def __init__(self, atoms: Floats, penalty: float, algorithm: str, seed: int) -> None:
        self.atoms = atoms.copy()
        self._penalty = penalty
        self._algorithm = algorithm
        self._seed = seed
        self._learner: Any = None

    def partial_fit(self, batch: Floats) -> None:
        """Learn from patches (n, m)."""
        from sklearn.decomposition import MiniBatchDictionaryLearning
        from sklearn.exceptions import ConvergenceWarning

        if self._learner is None:
            self._learner = MiniBatchDictionaryLearning(
                n_components=len(self.atoms),
                alpha=self._penalty,
                fit_algorithm=self._algorithm,
                dict_init=self.atoms,
                batch_size=len(batch),
                random_state=self._seed,
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # later batches continue from here
            self._learner.partial_fit(batch)
        self.atoms = unit(self._learner.components_)

    def replace(self, places: NDArray[np.intp], atoms: Floats) -> None:
        """Replace the atoms at ``places``, and forget what all atoms were learned from."""
        self.atoms[places] = atoms
        self._learner = None


def unit(atoms: Floats) -> Floats:
    """Scale atoms (k, m) to norm 1, as float32."""
    norms = np.linalg.norm(atoms, axis=1, keepdims=True)
    return (atoms / np.maximum(norms, 1e-12)).astype(np.float32)
