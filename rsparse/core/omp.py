"""Code many signals at once by Orthogonal Matching Pursuit (Pati et al. 1993).

Batch-OMP (Rubinstein, Zibulevsky, Elad 2008) needs only a signal's correlations with all atoms and
the dictionary's Gram matrix; it never forms a residual. BLAS computes the correlations, block by
block. ``pursue`` of ``engines.cpu.loops`` does the rest, compiled if numba is installed and in
NumPy otherwise. Both choose the same atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from rsparse.core.engines.cpu import loops

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]
Item = TypeVar("Item")
Result = TypeVar("Result")

BLOCK = 1024  # signals coded together; they and their correlations fit into the cache
_LARGE = 1 << 22


def gram_matrix(dictionary: Floats) -> Floats:
    """Compute the inner products (k, k) of all atoms of a dictionary (k, m)."""
    return dictionary @ dictionary.T


def omp(
    signals: Floats,
    dictionary: Floats,
    sparsity: int,
    gram: Floats | None = None,
    *,
    tolerance: float = 0.0,
    min_correlation: float = 0.0,
    threads: int = 1,
) -> tuple[Indices, Floats]:
    """Represent each signal by at most K atoms, chosen greedily and fitted by least squares.

    Parameters
    ----------
    signals : array of shape (n, m)
    dictionary : float32 or float64 array of shape (k, m)
        Atoms as rows, each of norm 1. Everything is computed in its type.
    sparsity : int
        Maximum number of atoms K; a larger K is more faithful and slower.
    gram : array of shape (k, k), optional
        ``gram_matrix(dictionary)``, if already known.
    tolerance : float
        Stop adding atoms to a signal once the norm of its residual is at most this; with 0, only
        ``sparsity`` limits the atoms.
    min_correlation : float
        Also stop once no atom's correlation with the residual is above this.
    threads : int
        Number of blocks coded at the same time. It does not change a byte of the codes.

    Returns
    -------
    atoms : int32 array of shape (n, K)
        The chosen atoms, in the order in which they were chosen.
    coefficients : array of shape (n, K) of the dictionary's type
        Their coefficients. The remaining ones are 0 once a signal is represented well enough, or
        once the next atom would be a linear combination of the chosen ones.

    References
    ----------
    Pati, Rezaiifar, Krishnaprasad (1993); Rubinstein, Zibulevsky, Elad (2008).
    """
    kind = np.dtype(np.float64 if dictionary.dtype == np.float64 else np.float32)
    signals = np.ascontiguousarray(signals, dtype=kind)
    dictionary = np.asarray(dictionary, dtype=kind)
    steps = min(sparsity, *dictionary.shape)
    gram = gram_matrix(dictionary) if gram is None else gram
    atoms = np.zeros((len(signals), sparsity), dtype=np.int32)
    coefficients = np.zeros((len(signals), sparsity), dtype=kind)
    encoder = dictionary.T  # copied, unless that takes longer than it saves
    encoder = np.ascontiguousarray(encoder) if encoder.size <= _LARGE else encoder

    def code(start: int) -> None:
        block = slice(start, start + BLOCK)
        loops.fastest.pursue(
            signals[block] @ encoder,
            gram,
            steps,
            _energies(signals[block], tolerance),
            tolerance**2,
            atoms[block],
            coefficients[block],
            min_correlation,
        )

    for _ in in_threads(code, range(0, len(signals), BLOCK), threads):
        pass
    return atoms, coefficients


def _energies(signals: Floats, tolerance: float) -> Floats:
    """Return the squared norms (n,) of the signals; empty without a tolerance."""
    if tolerance <= 0:
        return np.empty(0, dtype=signals.dtype)
    return np.einsum("nm,nm->n", signals, signals)


def reconstruct(atoms: Indices, coefficients: Floats, dictionary: Floats) -> Floats:
    """Reconstruct signals (n, m) from the codes of ``omp``."""
    signals = np.zeros((len(atoms), dictionary.shape[1]), dtype=coefficients.dtype)
    for chosen, weight in zip(atoms.T, coefficients.T, strict=True):
        signals += weight[:, None] * dictionary[chosen]
    return signals


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Apply a function in threads, like ``map``; results are in the order of the items.

    BLAS is limited to one thread in each, even if there is only one: some of its kernels sum in a
    different order when several threads share a product.
    """
    with _blas().limit(limits=1, user_api="blas"):
        if threads == 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(function, items)


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process; finding them takes longer than coding an image."""
    return ThreadpoolController()
