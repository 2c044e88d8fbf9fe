"""The inner loops of sparse coding, compiled by numba; ``numpy_loops`` documents them.

They are written so that LLVM vectorises every loop over atoms: such a loop writes one array and
indexes it in full (a slice would count references), and sums may be reordered. Functions called by
others are inlined. Otherwise two versions of them exist, optimised in different ways, and a fresh
compilation and a cached one may run different versions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray

from rsparse.core.engines.cpu import numpy_loops

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

_GROUP = 4  # signals processed together, since the steps of one signal wait for each other
_VECTORISED = {"reassoc", "contract", "nsz", "arcp"}

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Apply numba's ``njit``, with a cache on disk if there is a writable folder for it."""

    def decorate(function: Function) -> Function:
        for cache in (True, False):
            try:
                result = njit(cache=cache, nogil=True, error_model="numpy", **options)(function)
                break
            except RuntimeError:  # neither the package nor the user's cache is writable
                continue
        return cast(Function, result)

    return decorate


def pursue(
    correlations: Any,
    gram: Any,
    sparsity: int,
    energies: Any,
    threshold: float,
    atoms: Indices,
    coefficients: Any,
    min_correlation: float = 0.0,
) -> None:
    """See ``numpy_loops.pursue``."""
    kind = correlations.dtype
    limits = (*numpy_loops.rounding_limits(kind), min_correlation)
    # The bits of a number without the sign can be compared as integers.
    bits = correlations.view(np.int32 if kind == np.float32 else np.int64)
    magnitude = bits.dtype.type(np.iinfo(bits.dtype).max)
    independent, negligible, smallest = map(kind.type, limits)
    stops = threshold, independent, negligible, smallest
    _pursue(correlations, bits, magnitude, gram, energies, sparsity, *stops, atoms, coefficients)


@compiled(fastmath=_VECTORISED)
def _pursue(
    correlations: Any,
    bits: Any,
    magnitude: Any,
    gram: Any,
    energies: Any,
    sparsity: int,
    threshold: float,
    independent: Any,
    negligible: Any,
    min_correlation: Any,
    atoms: Indices,
    coefficients: Any,
) -> None:
    n, k = correlations.shape
    kind = correlations.dtype.type
    basis = np.empty((_GROUP, sparsity, k), correlations.dtype)  # L_ss v_s; first: a row of gram
    factor = np.empty((_GROUP, sparsity, sparsity), correlations.dtype)
    inverse = np.empty((_GROUP, sparsity), correlations.dtype)  # 1 / L_ss
    forward = np.empty((_GROUP, sparsity), correlations.dtype)
    weights = np.empty(sparsity, correlations.dtype)
    largest = np.empty(_GROUP, bits.dtype)
    start = np.empty(_GROUP, np.uint32)  # unsigned, to skip the check for negative indices
    chosen = np.empty(_GROUP, np.uint32)
    smallest = np.empty(_GROUP, correlations.dtype)
    left = np.empty(_GROUP, correlations.dtype)
    count = np.empty(_GROUP, np.int32)
    stops = energies.size > 0
    for first in range(0, n, _GROUP):
        size = min(_GROUP, n - first)
        for g in range(size):
            largest[g] = _largest(bits, magnitude, first + g)
            count[g] = 0
        for step in range(sparsity):
            for g in range(size):
                if count[g] == step:
                    chosen[g] = _place(bits, magnitude, first + g, largest[g])
            if step == 0:
                for g in range(size):
                    start[g] = chosen[g]
                    least = negligible * abs(correlations[first + g, chosen[g]])
                    smallest[g] = max(min_correlation, least)
                    left[g] = energies[first + g] if stops else kind(0)
            for g in range(size):
                if count[g] != step:
                    continue
                best = chosen[g]
                correlation = correlations[first + g, best]
                pivot = gram[best, best]
                for j in range(step):
                    entry = basis[g, j, best] if j else gram[start[g], best]
                    entry *= inverse[g, j]
                    factor[g, step, j] = entry
                    pivot -= entry * entry
                if (
                    abs(correlation) > smallest[g]
                    and pivot > independent
                    and (not stops or left[g] > threshold)
                ):
                    inverse[g, step] = kind(1) / np.sqrt(pivot)
                    forward[g, step] = correlation * inverse[g, step]
                    left[g] -= forward[g, step] * forward[g, step]
                    atoms[first + g, step] = best
                    count[g] = step + 1
            if step + 1 < sparsity:
                for g in range(size):
                    if count[g] == step + 1:
                        for j in range(step):
                            weights[j] = factor[g, step, j] * inverse[g, j]
                        weights[step] = forward[g, step] * inverse[g, step]
                        largest[g] = _shrink(
                            correlations,
                            bits,
                            first + g,
                            gram,
                            start[g],
                            chosen[g],
                            basis,
                            g,
                            weights,
                            step,
                        )
        for g in range(size):
            for turn in range(count[g]):
                i = count[g] - 1 - turn
                rest = forward[g, i]
                for j in range(i + 1, count[g]):
                    rest -= factor[g, j, i] * coefficients[first + g, j]
                coefficients[first + g, i] = rest * inverse[g, i]


def _magnitude(x: Any) -> Any:
    """The bits of |x|, an int32 or int64."""
    raise NotImplementedError("it exists only in compiled code")


@overload(_magnitude, inline="always")
def _magnitude_of(x: Any) -> Callable[[Any], Any]:
    def in_float32(x: Any) -> Any:
        return np.int32(np.float32(x).view(np.int32) & np.int32(0x7FFFFFFF))

    def in_float64(x: Any) -> Any:
        return np.int64(np.float64(x).view(np.int64) & np.int64(0x7FFFFFFFFFFFFFFF))

    return in_float32 if x == types.float32 else in_float64


@compiled(inline="always")
def _largest(bits: Any, magnitude: Any, signal: int) -> Any:
    """Return the bits of a signal's largest |correlation|."""
    largest = bits.dtype.type(0)
    for place in range(bits.shape[1]):
        largest = max(largest, bits[signal, place] & magnitude)
    return largest


@compiled(inline="always")
def _place(bits: Any, magnitude: Any, signal: int, largest: Any) -> np.int32:
    """Return the index of a signal's largest |correlation|; ties go to the lower index."""
    k = bits.shape[1]
    best = np.int32(k)
    for place in range(k):
        same = (bits[signal, place] & magnitude) == largest
        candidate = np.int32(place) if same else np.int32(k)
        best = min(best, candidate)
    return best


@compiled(inline="always")
def _shrink(
    correlations: Any,
    bits: Any,
    signal: int,
    gram: Any,
    start: int,
    chosen: int,
    basis: Any,
    g: int,
    row: Any,
    step: int,
) -> Any:
    """Compute L_ss v_s, subtract it from a signal's correlations, and return the largest one left.

    ``row`` holds the weights of the earlier vectors to subtract from the atom's row of the Gram
    matrix, four at a time. Its last entry is the weight of the new vector to subtract from the
    correlations. The first atom's vector is row ``start`` of the Gram matrix and is not copied.
    """
    k = correlations.shape[1]
    largest = bits.dtype.type(0)
    weight = row[step]
    if step == 0:
        for i in range(k):
            left = correlations[signal, i] - weight * gram[chosen, i]
            correlations[signal, i] = left
            largest = max(largest, _magnitude(left))
        return largest
    if step == 1:
        a = row[0]
        for i in range(k):
            basis[g, step, i] = gram[chosen, i] - a * gram[start, i]
    elif step == 2:
        a, b = row[0], row[1]
        for i in range(k):
            basis[g, step, i] = gram[chosen, i] - a * gram[start, i] - b * basis[g, 1, i]
    elif step == 3:
        a, b, c = row[0], row[1], row[2]
        for i in range(k):
            basis[g, step, i] = (
                gram[chosen, i] - a * gram[start, i] - b * basis[g, 1, i] - c * basis[g, 2, i]
            )
    else:
        a, b, c, d = row[0], row[1], row[2], row[3]
        for i in range(k):
            basis[g, step, i] = (
                gram[chosen, i]
                - a * gram[start, i]
                - b * basis[g, 1, i]
                - c * basis[g, 2, i]
                - d * basis[g, 3, i]
            )
        j = 4
        while j + 4 <= step:
            a, b, c, d = row[j], row[j + 1], row[j + 2], row[j + 3]
            for i in range(k):
                basis[g, step, i] -= (
                    a * basis[g, j, i]
                    + b * basis[g, j + 1, i]
                    + c * basis[g, j + 2, i]
                    + d * basis[g, j + 3, i]
                )
            j += 4
        while j < step:
            a = row[j]
            for i in range(k):
                basis[g, step, i] -= a * basis[g, j, i]
            j += 1
    for i in range(k):
        left = correlations[signal, i] - weight * basis[g, step, i]
        correlations[signal, i] = left
        largest = max(largest, _magnitude(left))
    return largest


@compiled(fastmath=_VECTORISED)
def gather(x: Floats, corners: NDArray[np.intp], patch_size: int, patches: Floats) -> None:
    """See ``numpy_loops.gather``."""
    height, width, channels = x.shape
    rows = x.reshape(height, width * channels)
    length = patch_size * channels
    for number in range(len(corners)):
        top, left = corners[number, 0], corners[number, 1] * channels
        for row in range(patch_size):
            for i in range(length):
                patches[number, row * length + i] = rows[top + row, left + i]


@compiled(fastmath=_VECTORISED)
def add_patches(
    canvas: Floats,
    top: int,
    corners: NDArray[np.intp],
    patch_size: int,
    atoms: Indices,
    coefficients: Floats,
    dictionary: Floats,
    offset: Floats,
) -> None:
    """See ``numpy_loops.add_patches``."""
    height, width, channels = canvas.shape
    rows = canvas.reshape(height, width * channels)
    length = patch_size * channels
    patch = np.empty(patch_size * length, np.float32)
    for number in range(len(corners)):
        for i in range(patch.size):
            patch[i] = offset[i]
        for s in range(coefficients.shape[1]):
            weight, atom = coefficients[number, s], atoms[number, s]
            if weight != 0:
                for i in range(patch.size):
                    patch[i] += weight * dictionary[atom, i]
        first, left = corners[number, 0] - top, corners[number, 1] * channels
        for row in range(patch_size):
            for i in range(length):
                rows[first + row, left + i] += patch[row * length + i]


@compiled(fastmath=_VECTORISED)
def add_codes(signals: Floats, atoms: Indices, coefficients: Floats, a: Floats, b: Floats) -> None:
    """See ``numpy_loops.add_codes``."""
    m = signals.shape[1]
    for number in range(len(signals)):
        for s in range(coefficients.shape[1]):
            weight, atom = coefficients[number, s], atoms[number, s]
            if weight != 0:
                for i in range(m):
                    b[atom, i] += weight * signals[number, i]
                for t in range(coefficients.shape[1]):
                    a[atom, atoms[number, t]] += weight * coefficients[number, t]


@compiled(fastmath=_VECTORISED)
def descend(dictionary: Floats, a: Floats, b: Floats) -> None:
    """See ``numpy_loops.descend``."""
    k, m = dictionary.shape
    change = np.empty(m, np.float32)
    for j in range(k):
        if a[j, j] <= 0:
            continue
        for i in range(m):
            change[i] = b[j, i]
        for other in range(k):
            weight = a[j, other]
            if weight != 0:
                for i in range(m):
                    change[i] -= weight * dictionary[other, i]
        step = np.float32(1) / a[j, j]
        energy = np.float32(0)
        for i in range(m):
            change[i] = dictionary[j, i] + step * change[i]
            energy += change[i] * change[i]
        if energy > 0:
            scale = np.float32(1) / np.sqrt(energy)
            for i in range(m):
                dictionary[j, i] = scale * change[i]
