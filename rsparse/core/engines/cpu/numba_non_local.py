"""The inner loop of non-local means, compiled by numba; see ``numpy_non_local``.

Sixteen blocks are smoothed together: rows of pixels hold the same pixel of all sixteen side by
side. So all loops run over long rows and are vectorised, whatever the sizes of block and template.
A block's result does not depend on the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.core.engines.cpu.numba_loops import compiled

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Integers = NDArray[np.int32]

_LANES = 16
_VECTORISED = {"reassoc", "contract", "nsz", "arcp"}
_SMALLEST = np.float32(-126)  # exponent of the smallest normal float32
_BIAS, _UNIT = np.float32(127), np.float32(2**23)  # of a float32's exponent in its bits
_LOG2_E = 1.4426950408889634


def _coefficients() -> Any:
    """2^f for f in [-1, 0] by a polynomial of degree 5, with a relative error of 1e-7."""
    fit = np.polynomial.Chebyshev.interpolate(lambda f: 2.0**f, 5, domain=[-1, 0])
    return tuple(np.float32(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef)


_C0, _C1, _C2, _C3, _C4, _C5 = _coefficients()


@compiled(fastmath=_VECTORISED)
def non_local(
    padded: Pixels,
    inside: Pixels,
    corners: NDArray[np.intp],
    template: int,
    border: int,
    moving: bool,
    shifts: tuple[int, int],
    rate: float,
    result: Floats,
) -> None:
    """See ``numpy_non_local.non_local``."""
    n, b, channels = result.shape[0], result.shape[1], result.shape[3]
    side, middle = b + template - 1, template // 2
    width = _padded(b)
    wide = _padded(width + template - 1)
    down, right = shifts[0] - 1, shifts[1] - 1
    region = np.zeros((channels, side + down, (wide + right) * _LANES), np.uint8)
    own = np.zeros((channels, side, wide * _LANES), np.uint8)  # small, to stay in the first cache
    counted = np.zeros((b + down, (width + right) * _LANES), np.uint8)
    part = np.zeros((channels + 1, b, width * _LANES), np.float32)
    total = np.zeros((channels + 1, b, width * _LANES), np.float32)
    squares = np.zeros((side, wide * _LANES), np.int32)
    columns = np.zeros(wide * _LANES, np.int32)
    sums = np.zeros(width * _LANES, np.int32)
    bits = np.zeros(width * _LANES, np.int32)
    weights = np.zeros(width * _LANES, np.float32)
    pace = np.float32(-rate * _LOG2_E)
    for first in range(0, n, _LANES):
        for lane in range(_LANES):
            top, left = corners[min(first + lane, n - 1)]
            _copy(padded, top + border - middle, left + border - middle, side, side, own, lane)
            if moving or first == 0:
                top, left = (top, left) if moving else (0, 0)
                _copy(padded, top, left, side + down, side + right, region, lane)
                for y in range(b + down):
                    for x in range(b + right):
                        seen = inside[top + middle + y, left + middle + x]
                        counted[y, x * _LANES + lane] = seen
        total[:] = 0
        for dy in range(shifts[0]):
            part[:] = 0
            for dx in range(shifts[1]):
                for y in range(side):
                    _squares(own, region, y, dy, np.uint64(dx * _LANES), squares)
                    _columns(squares, y, template, columns)
                    if y < template - 1:
                        continue
                    _rows(columns, template, sums)
                    _weights(sums, pace, bits, weights)
                    _add(weights, counted, region, y - template + 1, dy, dx, middle, part)
            for c in range(channels + 1):
                for y in range(b):
                    for i in range(width * _LANES):
                        total[c, y, i] += part[c, y, i]
        for lane in range(min(_LANES, n - first)):
            for y in range(b):
                for x in range(b):
                    i = x * _LANES + lane
                    for c in range(channels):
                        result[first + lane, y, x, c] = total[c, y, i] / total[channels, y, i]


@compiled(inline="always")
def _padded(length: int) -> int:
    """A length at which unrolled loops have no remainder: a multiple of four registers."""
    return -(-length // 4) * 4


@compiled(inline="always")
def _copy(image: Any, top: int, left: int, height: int, width: int, rows: Any, lane: int) -> None:
    """Copy a rectangle of the image to one lane."""
    for c in range(rows.shape[0]):
        for y in range(height):
            for x in range(width):
                rows[c, y, x * _LANES + lane] = image[top + y, left + x, c]


@compiled(inline="always")
def _squares(
    own: Pixels, region: Pixels, y: int, dy: int, shift: np.uint64, squares: Integers
) -> None:
    """Square the differences of a row and a row of the region, and sum them over the channels."""
    width = np.uint64(squares.shape[1])
    for i in range(width):
        difference = np.int32(own[0, y, i]) - np.int32(region[0, y + dy, i + shift])
        squares[y, i] = np.int32(difference * difference)
    for c in range(1, own.shape[0]):
        for i in range(width):
            difference = np.int32(own[c, y, i]) - np.int32(region[c, y + dy, i + shift])
            squares[y, i] += np.int32(difference * difference)


@compiled(inline="always")
def _columns(squares: Integers, y: int, template: int, columns: Integers) -> None:
    """Move the sums over the rows of the template down to row ``y``."""
    if y == 0:
        for i in range(columns.size):
            columns[i] = 0
    if y < template:
        for i in range(columns.size):
            columns[i] += squares[y, i]
    else:
        for i in range(columns.size):
            columns[i] += squares[y, i] - squares[y - template, i]


@compiled(inline="always")
def _rows(columns: Integers, template: int, sums: Integers) -> None:
    """Sum the columns of each template of a row.

    Each sum is computed anew: to add a column to the sum before and subtract another takes fewer
    additions, but each of them would wait for the one before.
    """
    lanes, width = np.uint64(_LANES), np.uint64(sums.size)
    for i in range(width):
        sums[i] = columns[i]
    for x in range(1, template, 2):
        start = np.uint64(x * _LANES)
        for i in range(width):
            sums[i] += columns[i + start] + columns[i + start + lanes]


@compiled(inline="always")
def _weights(sums: Integers, pace: np.float32, bits: Integers, weights: Floats) -> None:
    """Compute 2^(pace d) for the sums d."""
    width = np.uint64(weights.size)
    powers = bits.view(np.float32)
    for i in range(width):
        exponent = max(np.float32(sums[i]) * pace, _SMALLEST)
        whole = np.float32(np.int32(exponent))  # towards 0
        f = exponent - whole
        bits[i] = np.int32((whole + _BIAS) * _UNIT)
        weights[i] = _C0 + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * _C5))))
    for i in range(width):
        weights[i] *= powers[i]


@compiled(inline="always")
def _add(
    weights: Floats,
    counted: Pixels,
    region: Pixels,
    y: int,
    dy: int,
    dx: int,
    middle: int,
    part: Floats,
) -> None:
    """Add a row's weights and weighted pixels; pixels outside the image do not count."""
    width, channels = np.uint64(weights.size), region.shape[0]
    shift, centre = np.uint64(dx * _LANES), np.uint64((dx + middle) * _LANES)
    for i in range(width):
        weights[i] *= np.float32(counted[y + dy, i + shift])
    for i in range(width):
        part[channels, y, i] += weights[i]
    for c in range(channels):
        for i in range(width):
            part[c, y, i] += weights[i] * np.float32(region[c, y + middle + dy, i + centre])
