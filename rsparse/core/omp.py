"""Orthogonal Matching Pursuit (Pati et al. 1993) for many signals at once.

Batch-OMP (Rubinstein, Zibulevsky, Elad 2008): from a signal's correlations with all atoms and the
dictionary's Gram matrix, without ever forming a residual. The correlations come from BLAS, block
by block; what follows a block is ``pursue`` of ``engines.cpu.loops``, compiled where numba is
installed, and in NumPy elsewhere. Both choose the same atoms.
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

BLOCK = 1024  # signals coded together: they and their correlations stay in the cache


def gram_matrix(dictionary: Floats) -> Floats:
    """Inner products of all atoms, (k, k), of a dictionary (k, m)."""
    return dictionary @ dictionary.T


def omp(
    signals: Floats,
    dictionary: Floats,
    sparsity: int,
    gram: Floats | None = None,
    *,
    tolerance: float = 0.0,
    threads: int = 1,
) -> tuple[Indices, Floats]:
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
    tolerance : float
        Take no further atom for a signal once the norm of its residual is at most this; 0 stops
        by ``sparsity`` alone.
    threads : int
        Blocks of signals coded at a time. The codes are the same bytes for any number.

    Returns
    -------
    atoms : int32 array of shape (n, K)
        The chosen atoms in the order of choice.
    coefficients : float32 array of shape (n, K)
        Their coefficients; 0 from where a signal was represented well enough, or the next atom
        would have been a combination of the chosen ones.

    References
    ----------
    Pati, Rezaiifar, Krishnaprasad (1993); Rubinstein, Zibulevsky, Elad (2008).
    """
    signals = np.ascontiguousarray(signals, dtype=np.float32)
    dictionary = np.asarray(dictionary, dtype=np.float32)
    steps = min(sparsity, *dictionary.shape)
    gram = gram_matrix(dictionary) if gram is None else gram
    atoms = np.zeros((len(signals), sparsity), dtype=np.int32)
    coefficients = np.zeros((len(signals), sparsity), dtype=np.float32)
    encoder = np.ascontiguousarray(dictionary.T)

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
        )

    for _ in in_threads(code, range(0, len(signals), BLOCK), threads):
        pass
    return atoms, coefficients


def _energies(signals: Floats, tolerance: float) -> Floats:
    """Squared norms of the signals (n,), or nothing where no tolerance asks for them."""
    if tolerance <= 0:
        return np.empty(0, dtype=np.float32)
    return np.einsum("nm,nm->n", signals, signals)


def reconstruct(atoms: Indices, coefficients: Floats, dictionary: Floats) -> Floats:
    """The signals (n, m) that ``omp``'s codes stand for."""
    signals = np.zeros((len(atoms), dictionary.shape[1]), dtype=np.float32)
    for chosen, weight in zip(atoms.T, coefficients.T, strict=True):
        signals += weight[:, None] * dictionary[chosen]
    return signals


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """``map`` over threads; results in the order of the items.

    BLAS is held to one thread in each, for a single one too: some of its kernels sum in another
    order when several share a product.
    """
    with _blas().limit(limits=1, user_api="blas"):
        if threads == 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(function, items)


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process; to look for them takes longer than to code an image."""
    return ThreadpoolController()
