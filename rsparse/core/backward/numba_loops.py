"""The inner loops of the backward passes, compiled by numba; ``numpy_loops`` documents them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsparse.core.backward.numpy_loops import INDEPENDENT
from rsparse.core.engines.cpu.numba_loops import compiled

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]

_CHUNK = 64  # atoms that are skipped together
_MAGNITUDE = np.int32(0x7FFFFFFF)
_INDEPENDENT = np.float32(INDEPENDENT)
_VECTORISED = {"reassoc", "contract", "nsz", "arcp"}


@compiled()
def strongest(correlations: Floats, counts: Indices, atoms: Indices) -> None:
    """See ``numpy_loops.strongest``."""
    k = correlations.shape[1]
    bits = correlations.view(np.int32)
    sizes = np.empty(atoms.shape[1], np.int32)  # bits of absolute values compare as integers
    for number in range(len(correlations)):
        u, filled = counts[number], 0
        atoms[number, u:] = -1
        smallest = np.int32(-1)
        for first in range(0, k, _CHUNK):
            last = min(first + _CHUNK, k)
            if _largest(bits[number, first:last]) <= smallest:
                continue
            for atom in range(first, last):
                size = np.int32(bits[number, atom] & _MAGNITUDE)
                if size <= smallest:
                    continue
                place = filled if filled < u else u - 1
                while place > 0 and sizes[place - 1] < size:
                    sizes[place] = sizes[place - 1]
                    atoms[number, place] = atoms[number, place - 1]
                    place -= 1
                sizes[place] = size
                atoms[number, place] = atom
                filled = min(filled + 1, u)
                if filled == u:
                    smallest = sizes[u - 1]


@compiled(inline="always")
def _largest(bits: Indices) -> np.int32:
    """Return the bits of the largest absolute value."""
    largest = np.int32(-1)
    for place in range(bits.size):
        largest = max(largest, np.int32(bits[place] & _MAGNITUDE))
    return largest


@compiled(fastmath=_VECTORISED)
def pull_back(
    upper: Floats,
    x: Floats,
    corners: NDArray[np.intp],
    patch_size: int,
    held: Indices,
    atoms: Indices,
    coefficients: Floats,
    dictionary: Floats,
    gram: Floats,
    mean: Floats,
    deviation: Floats,
    scale: Floats,
    lower: Floats,
    mean_bar: NDArray[np.float64],
    deviation_bar: NDArray[np.float64],
) -> None:
    """See ``numpy_loops.pull_back``."""
    height, width, channels = x.shape
    m, length, u = mean.size, patch_size * channels, held.shape[1]
    rows, uppers = x.reshape(height, width * channels), upper.reshape(height, width * channels)
    lowers = lower.reshape(height, width * channels)
    z, g, q = np.empty(m, np.float32), np.empty(m, np.float32), np.empty(m, np.float32)
    coded, signal = np.empty(m, np.float32), np.empty(m, np.float32)
    factor, pivots = np.empty((u + 1, u), np.float32), np.empty(u, np.int32)
    rests, forward, weights = np.empty((3, u), np.float32)
    for number in range(len(corners)):
        top, left = corners[number, 0], corners[number, 1] * channels
        for row in range(patch_size):
            for i in range(length):
                g[row * length + i] = uppers[top + row, left + i]
            for i in range(length):
                z[row * length + i] = rows[top + row, left + i]
        for i in range(m):
            z[i] = (z[i] - mean[i]) * scale[i]
            signal[i] = deviation[i] * g[i]
            q[i] = 0
            coded[i] = 0
        own = held[number]
        size = _solve(own, signal, dictionary, gram, factor, rests, pivots, forward, weights)
        for s in range(size):
            weight, atom = weights[s], own[s]
            for i in range(m):
                q[i] += weight * dictionary[atom, i]
        for s in range(atoms.shape[1]):
            weight, atom = coefficients[number, s], atoms[number, s]
            if weight != 0:
                for i in range(m):
                    coded[i] += weight * dictionary[atom, i]
        for i in range(m):
            q[i] *= scale[i]
        for i in range(m):
            mean_bar[i] += g[i] - q[i]
            deviation_bar[i] += g[i] * coded[i] - z[i] * q[i]
        for row in range(patch_size):
            for i in range(length):
                lowers[top + row, left + i] += q[row * length + i]


@compiled(inline="always")
def _solve(
    held: Indices,
    signal: Floats,
    dictionary: Floats,
    gram: Floats,
    factor: Floats,
    rests: Floats,
    pivots: Indices,
    forward: Floats,
    weights: Floats,
) -> int:
    """Solve for the weights of the held atoms, 0 for dependent ones; return how many are held.

    Row j of ``factor`` is that of the Cholesky factor for the independent atom ``pivots[j]``;
    ``rests`` are the squares of what of each atom the rows so far do not reach. Only independent
    atoms need their row of the Gram matrix, whose entries lie apart in memory. Rows are subtracted
    four at a time, from all later atoms at once: short sums are not vectorised.
    """
    size = held.size
    while size > 0 and held[size - 1] < 0:
        size -= 1
    for place in range(size):
        rests[place] = gram[held[place], held[place]]
        weights[place] = 0
    count = 0
    for place in range(size):
        if rests[place] <= _INDEPENDENT:
            continue
        atom = held[place]
        inner = np.float32(0)
        for i in range(signal.size):
            inner += dictionary[atom, i] * signal[i]
        row = factor[count]
        for i in range(place, size):
            row[i] = gram[atom, held[i]]
        j = 0
        while j + 4 <= count:
            e, f, g, h = factor[j], factor[j + 1], factor[j + 2], factor[j + 3]
            a, b, c, d = e[place], f[place], g[place], h[place]
            for i in range(place, size):
                row[i] -= a * e[i] + b * f[i] + c * g[i] + d * h[i]
            inner -= a * forward[j] + b * forward[j + 1] + c * forward[j + 2] + d * forward[j + 3]
            j += 4
        while j < count:
            e = factor[j]
            a = e[place]
            for i in range(place, size):
                row[i] -= a * e[i]
            inner -= a * forward[j]
            j += 1
        scale = np.float32(1) / np.sqrt(rests[place])
        for i in range(place, size):
            row[i] *= scale
        row[place] = np.sqrt(rests[place])
        for i in range(place, size):
            rests[i] -= row[i] * row[i]
        forward[count] = inner * scale
        pivots[count] = place
        count += 1
    for turn in range(count):
        j = count - 1 - turn
        place, rest = pivots[j], forward[j]
        for i in range(place + 1, size):
            rest -= factor[j, i] * weights[i]
        weights[place] = rest / factor[j, place]
    return size


@compiled(fastmath=_VECTORISED)
def bilateral_gradient(
    x: Floats, upper: Floats, reach: int, space: Floats, colour: Floats, slope: float, lower: Floats
) -> None:
    """See ``numpy_loops.bilateral_gradient``."""
    height, width = x.shape[1:]
    weights, sums = np.ones((height, width), np.float32), x.copy()
    w, d, effect = np.empty((3, width), np.float32)
    for down in range(reach + 1):
        for right in range(-reach if down else 1, reach + 1):
            nearness = space[down, abs(right)]
            if nearness > 0:
                start, stop = max(0, -right), width - max(0, right)
                for row in range(height - down):
                    _weigh(x, row, down, right, start, stop, nearness, colour, w, d)
                    _add(weights[row, start:stop], w)
                    _add(weights[row + down, start + right : stop + right], w)
                    for channel in range(3):
                        here = x[channel, row, start:stop]
                        there = x[channel, row + down, start + right : stop + right]
                        _add_product(sums[channel, row, start:stop], w, there)
                        _add_product(
                            sums[channel, row + down, start + right : stop + right], w, here
                        )
    share = upper / weights
    level = (share[0] * sums[0] + share[1] * sums[1] + share[2] * sums[2]) / weights
    lower += share
    for down in range(reach + 1):
        for right in range(-reach if down else 1, reach + 1):
            nearness = space[down, abs(right)]
            if nearness > 0:
                start, stop = max(0, -right), width - max(0, right)
                for row in range(height - down):
                    _weigh(x, row, down, right, start, stop, nearness, colour, w, d)
                    below, after = row + down, slice(start + right, stop + right)
                    _begin(effect, level[row, start:stop], level[below, after])
                    for channel in range(3):
                        there, there_share = x[channel, below, after], share[channel, below, after]
                        _add_product(effect, share[channel, row, start:stop], there)
                        _add_product(effect, there_share, x[channel, row, start:stop])
                    _steepen(effect, w, d, np.float32(slope))
                    for channel in range(3):
                        here, there = x[channel, row, start:stop], x[channel, below, after]
                        _pull(
                            lower[channel, below, after],
                            share[channel, row, start:stop],
                            w,
                            effect,
                            there,
                            here,
                        )
                        _pull(
                            lower[channel, row, start:stop],
                            share[channel, below, after],
                            w,
                            effect,
                            here,
                            there,
                        )


@compiled(inline="always")
def _weigh(
    x: Floats,
    row: int,
    down: int,
    right: int,
    start: int,
    stop: int,
    nearness: np.float32,
    colour: Floats,
    w: Floats,
    d: Floats,
) -> None:
    """Fill the colour distances of a row's pixels to their neighbours, and the weights."""
    a, b, c = x[0, row, start:stop], x[1, row, start:stop], x[2, row, start:stop]
    e = x[0, row + down, start + right : stop + right]
    f = x[1, row + down, start + right : stop + right]
    g = x[2, row + down, start + right : stop + right]
    for i in range(stop - start):
        d[i] = abs(a[i] - e[i]) + abs(b[i] - f[i]) + abs(c[i] - g[i])
    for i in range(stop - start):
        w[i] = nearness * colour[np.uint32(np.int32(d[i]))]


@compiled(inline="always")
def _add(target: Floats, values: Floats) -> None:
    for i in range(target.size):
        target[i] += values[i]


@compiled(inline="always")
def _add_product(target: Floats, a: Floats, b: Floats) -> None:
    for i in range(b.size):
        target[i] += a[i] * b[i]


@compiled(inline="always")
def _begin(effect: Floats, level: Floats, other: Floats) -> None:
    """Start from minus the levels of both pixels of a pair."""
    for i in range(level.size):
        effect[i] = -level[i] - other[i]


@compiled(inline="always")
def _steepen(effect: Floats, w: Floats, d: Floats, slope: np.float32) -> None:
    """Multiply by the derivative of the weights by the colour distance."""
    for i in range(effect.size):
        effect[i] *= slope * w[i] * d[i]


@compiled(inline="always")
def _pull(
    lower: Floats, share: Floats, w: Floats, effect: Floats, own: Floats, other: Floats
) -> None:
    """Add a pair's gradient to one of its pixels; whole levels differ by 0 or at least 1."""
    for i in range(lower.size):
        sign = min(np.float32(1), max(np.float32(-1), own[i] - other[i]))
        lower[i] += w[i] * share[i] + effect[i] * sign
