"""The inner loop of total variation, compiled by numba; see ``numba_loops``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsparse.core.engines.cpu.numba_loops import compiled

Floats = NDArray[np.float32]

_VECTORISED = {"reassoc", "contract", "nsz", "arcp"}


@compiled(fastmath=_VECTORISED)
def smooth(u: Floats, known: Floats, fidelity: Floats, tolerance: float, iterations: int) -> None:
    """See ``numpy_loops.smooth``."""
    height, width = known.shape
    coupling = np.float32(2) * fidelity.max()
    share = coupling / (fidelity + np.float32(4) * coupling)
    anchor = share * fidelity * known / coupling
    b_x, b_y = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    inflow = np.zeros((height, width), np.float32)
    rows = np.zeros((5, width + 1), np.float32)
    squares = np.zeros((2, width), np.float32)
    squares[0, ::2], squares[1, 1::2] = 1, 1
    for _ in range(iterations):
        change = np.float32(0)
        for parity in range(2):
            change += _solve(u, anchor, share, inflow, squares, rows, parity)
        if change <= np.float32(tolerance * tolerance) * height * width:
            break
        _shrink(u, coupling, b_x, b_y, inflow, rows)


@compiled(inline="always")
def _solve(
    u: Floats,
    anchor: Floats,
    share: Floats,
    inflow: Floats,
    squares: Floats,
    rows: Floats,
    parity: int,
) -> np.float32:
    """Solve for the pixels of one chessboard colour; return the sum of the squared changes."""
    height, width = anchor.shape
    change = np.float32(0)
    for row in range(height):
        r, first = row + 1, (row + parity) % 2
        for c in range(width):
            around = u[r - 1, c + 1] + u[r + 1, c + 1] + u[r, c] + u[r, c + 2]
            new = anchor[row, c] + share[row, c] * (around + inflow[row, c])
            rows[0, c] = squares[first, c] * (new - u[r, c + 1])
        for c in range(width):
            change += rows[0, c] * rows[0, c]
        for c in range(width):
            u[r, c + 1] += rows[0, c]
        u[r, 0], u[r, width + 1] = u[r, 1], u[r, width]
    for c in range(width + 2):
        u[0, c] = u[1, c]
    for c in range(width + 2):
        u[height + 1, c] = u[height, c]
    return change


@compiled(inline="always")
def _shrink(
    u: Floats, coupling: np.float32, b_x: Floats, b_y: Floats, inflow: Floats, rows: Floats
) -> None:
    """Shrink ∇u + b, keep the remainder as b, and sum the inflow of each pixel.

    ``rows`` holds t_x, t_y, the share that remains after shrinking, and g = d − b along both axes.
    """
    height, width = b_x.shape
    for c in range(width + 1):
        rows[3, c] = 0
    for c in range(width + 1):
        rows[4, c] = 0
    for row in range(height):
        r = row + 1
        for c in range(width):
            rows[0, c] = u[r, c + 2] - u[r, c + 1] + b_x[row, c]
        for c in range(width):
            rows[1, c] = u[r + 1, c + 1] - u[r, c + 1] + b_y[row, c]
        for c in range(width):
            length = coupling * np.sqrt(rows[0, c] * rows[0, c] + rows[1, c] * rows[1, c])
            rows[2, c] = length / (length + np.float32(1))
        for c in range(width):
            b_x[row, c] = rows[0, c] - rows[2, c] * rows[0, c]
        for c in range(width):
            b_y[row, c] = rows[1, c] - rows[2, c] * rows[1, c]
        for c in range(width):
            rows[3, c + 1] = rows[2, c] * rows[0, c] - b_x[row, c]
        for c in range(width):
            inflow[row, c] = rows[4, c] + rows[3, c] - rows[3, c + 1]
        for c in range(width):
            rows[4, c] = rows[2, c] * rows[1, c] - b_y[row, c]
        for c in range(width):
            inflow[row, c] -= rows[4, c]
