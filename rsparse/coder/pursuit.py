"""Code signals by Orthogonal Matching Pursuit: NumPy or torch in, the same out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from rsparse.coder.arrays import Rows, as_rows
from rsparse.coder.stops import Stops
from rsparse.core.omp import gram_matrix
from rsparse.core.omp import omp as code_arrays
from rsparse.core.tensors import is_tensor
from rsparse.errors import InputError

_NUMBERS = 1 << 22
"""Numbers in a block of signals or its codes; memory beside the inputs and the result is small."""
_PLAIN = 1e-12, 1e12
"""Largest magnitudes of atoms whose norms are computed without scaling."""


def omp(
    signals: Any,
    dictionary: Any,
    *,
    n_nonzero_coefs: int | None = None,
    tol: float | None = None,
    threshold: float | None = None,
    sparse: bool = False,
    threads: int = 1,
) -> Any:
    """Code each signal by a few atoms of a dictionary, chosen greedily and fitted together.

    A signal x becomes a code c, mostly zeros, with x ≈ c @ dictionary. Each step adds the atom that
    correlates most with what is left of the signal, and fits all chosen coefficients by least
    squares. The pursuit of a signal stops at the first limit that is reached.

    Parameters
    ----------
    signals : array or torch tensor of shape (n, m), or (m,) for one signal
        One signal a row. Everything is computed in float64 for float64 and whole numbers, and in
        float32 for all shorter floating types.
    dictionary : array or torch tensor of shape (k, m)
        One atom a row, of any norm: a longer atom is not preferred, and gets a smaller
        coefficient. Atoms that are 0 are never chosen.
    n_nonzero_coefs : int, optional
        K, at most this many atoms a signal; 1 to min(k, m). By default a tenth of m (at least 1),
        or no limit if ``tol`` or ``threshold`` is given.
    tol : float, optional
        Stop once the squared norm of the residual is at most this. In float32 it is known up to
        about 1e-6 of the signal's.
    threshold : float, optional
        Stop once no atom, scaled to norm 1, has an inner product with the residual above this in
        magnitude. With an orthonormal dictionary this is hard thresholding.
    sparse : bool
        Return a sparse matrix with rows: ``scipy.sparse.csr_array``, or a torch tensor in CSR.
    threads : int
        Threads on the CPU. Their number does not change a byte of the codes.

    Returns
    -------
    array or tensor of shape (n, k), or (k,) for one signal
        The codes, of the signals' kind, type and device.

    Raises
    ------
    InputError
        If the shapes do not fit, a number is not finite, a parameter is outside its range, or one
        input is a tensor and the other an array or on another device.

    References
    ----------
    Pati, Rezaiifar, Krishnaprasad (1993); Batch-OMP: Rubinstein, Zibulevsky, Elad (2008).

    Examples
    --------
    With the unit vectors as atoms, the largest numbers are kept.

    >>> import numpy as np, rsparse
    >>> rsparse.omp(np.array([[3.0, -1.0, 0.5, 2.0]]), np.eye(4), n_nonzero_coefs=2)
    array([[3., 0., 0., 2.]])
    """
    one = getattr(signals, "ndim", None) == 1
    x = as_rows("signals", signals, single=True)
    atoms = _matching(as_rows("dictionary", dictionary), x)
    stops = Stops.of(n_nonzero_coefs, tol, threshold, tuple(atoms.rows.shape))
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InputError(f"threads: expected 1 or more, got {threads!r}")
    coded = _coded(x, _Atoms.of(atoms, x), stops, threads)
    shape = len(x.rows), len(atoms.rows)
    if sparse:
        return _compressed(coded, shape, x)
    codes = _dense(coded, shape, x)
    return codes[0] if one else codes


def _matching(atoms: Rows, signals: Rows) -> Rows:
    (k, length), m = atoms.rows.shape, signals.rows.shape[1]
    if length != m:
        raise InputError(f"dictionary: expected atoms of {m} numbers as the signals, got {length}")
    if k == 0:
        raise InputError("dictionary: expected at least one atom, got none")
    if atoms.device != signals.device:
        kinds = [f"a tensor on {x.device}" if x.device else "an array" for x in (signals, atoms)]
        raise InputError(f"dictionary: expected {kinds[0]} as the signals, got {kinds[1]}")
    return atoms


class _Atoms(NamedTuple):
    """Atoms of norm 1, and the factor (k,) that turns their coefficients into the given atoms'."""

    unit: Any
    factor: Any

    @classmethod
    def of(cls, atoms: Rows, signals: Rows) -> _Atoms:
        rows = atoms.as_numpy()
        peaks = np.maximum(rows.max(axis=1), -rows.min(axis=1)).astype(np.float64)[:, None]
        peaks[peaks == 0] = 1
        if peaks.min() < _PLAIN[0] or peaks.max() > _PLAIN[1]:  # their squares could overflow
            rows = rows / peaks
        else:
            peaks = np.ones_like(peaks)
        norms = np.sqrt(np.einsum("km,km->k", rows, rows, dtype=np.float64))[:, None]
        norms[norms == 0] = 1
        unit, factor = rows / norms.astype(rows.dtype), 1 / (peaks * norms)[:, 0]
        if is_tensor(signals.rows):
            import torch

            return cls(*(torch.from_numpy(a).to(signals.rows) for a in (unit, factor)))
        kind = signals.rows.dtype
        return cls(unit.astype(kind, copy=False), factor.astype(kind))


def _coded(
    signals: Rows, atoms: _Atoms, stops: Stops, threads: int
) -> Iterator[tuple[int, Any, Any]]:
    """The chosen atoms and coefficients (b, K) of blocks of signals, after each block's place."""
    scale = math.ldexp(1, -math.frexp(signals.largest)[1]) if signals.largest else 1.0
    stops = stops.scaled(scale)  # a power of two: no digit is lost
    on_cpu = signals.device in (None, "cpu")
    pursuit = _on_cpu(signals, atoms, stops, scale, threads) if on_cpu else None
    for start, chosen, weights in pursuit or _on_device(signals, atoms, stops, scale):
        yield start, chosen, weights / scale


def _on_cpu(
    signals: Rows, atoms: _Atoms, stops: Stops, scale: float, threads: int
) -> Iterator[tuple[int, Any, Any]]:
    rows = signals.as_numpy()
    unit, factor = (a.numpy() if is_tensor(a) else a for a in atoms)
    gram, tolerance = gram_matrix(unit), math.sqrt(stops.energy)
    size = max(1, _NUMBERS // max(stops.sparsity, rows.shape[1]))
    for start in range(0, len(rows), size):
        chosen, weights = code_arrays(
            rows[start : start + size] * rows.dtype.type(scale), unit, stops.sparsity, gram,
            tolerance=tolerance, min_correlation=stops.correlation, threads=threads,
        )  # fmt: skip
        weights *= factor[chosen]
        yield start, chosen, weights


def _on_device(
    signals: Rows, atoms: _Atoms, stops: Stops, scale: float
) -> Iterator[tuple[int, Any, Any]]:
    from rsparse.core.engines.torch.signals import code_signals

    limits = stops.sparsity, stops.energy, stops.correlation
    for start, chosen, weights in code_signals(signals.rows, atoms.unit, scale, *limits):
        yield start, chosen, weights * atoms.factor[chosen]


def _dense(coded: Iterator[tuple[int, Any, Any]], shape: tuple[int, int], like: Rows) -> Any:
    if is_tensor(like.rows):
        import torch

        result = torch.zeros(shape, dtype=like.kind, device=like.rows.device)
        for start, chosen, weights in coded:
            rows, places, values = _entries(*map(torch.as_tensor, (chosen, weights)))
            result[rows + start, places.long()] = values.to(like.kind)
        return result
    codes = np.zeros(shape, like.kind)
    for start, chosen, weights in coded:
        rows, places, values = _entries(chosen, weights)
        codes[rows + start, places] = values
    return codes


def _compressed(coded: Iterator[tuple[int, Any, Any]], shape: tuple[int, int], like: Rows) -> Any:
    """A CSR matrix, whose rows name their atoms in rising order."""
    counts, places, values = [np.zeros(1, np.int64)], [], []
    for _, chosen, weights in coded:
        chosen, weights = (x.cpu().numpy() if is_tensor(x) else x for x in (chosen, weights))
        used = weights != 0
        order = np.argsort(np.where(used, chosen, np.iinfo(np.int32).max), axis=1, kind="stable")
        chosen, weights = (np.take_along_axis(x, order, axis=1) for x in (chosen, weights))
        used = weights != 0
        counts.append(used.sum(axis=1))
        places.append(chosen[used])
        values.append(weights[used])
    starts = np.concatenate(counts).cumsum()
    if not places:
        places, values = [np.zeros(0, np.int64)], [np.zeros(0)]
    numbers, columns = np.concatenate(values), np.concatenate(places)
    if is_tensor(like.rows):
        import torch

        parts = torch.from_numpy(starts), torch.from_numpy(columns.astype(np.int64))
        values_of = torch.from_numpy(numbers).to(like.kind)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support", UserWarning)
            return torch.sparse_csr_tensor(
                *parts, values_of, shape, device=like.rows.device, check_invariants=True
            )
    from scipy.sparse import csr_array

    kind = like.kind if like.kind.itemsize >= 4 else np.dtype(np.float32)  # SciPy has no shorter
    return csr_array((numbers.astype(kind), columns, starts), shape=shape)


def _entries(chosen: Any, weights: Any) -> tuple[Any, Any, Any]:
    """The row, atom and coefficient of each number of the codes that is not 0."""
    used = weights != 0
    rows, _ = used.nonzero(as_tuple=True) if is_tensor(used) else used.nonzero()
    return rows, chosen[used], weights[used]
