"""The inner loop of total variation, compiled by numba; see ``kernel`` and ``lockstep``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsparse.core.kernel import compiled

Floats = NDArray[np.float32]


@compiled(fastmath={"reassoc", "contract", "nsz", "arcp"})
def smooth(u: Floats, known: Floats, fidelity: Floats, tolerance: float, iterations: int) -> None:
    """See ``lockstep.smooth``."""
    height, width = known.shape
    coupling = np.float32(2) * fidelity.max()
    b_x, b_y = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    inflow = np.zeros((height, width), np.float32)
    g_x, g_y = np.zeros(width + 1, np.float32), np.zeros(width, np.float32)
    for _ in range(iterations):
        change = np.float32(0)
        for parity in range(2):
            for row in range(height):
                for column in range((row + parity) % 2, width, 2):
                    r, c = row + 1, column + 1
                    around = u[r - 1, c] + u[r + 1, c] + u[r, c - 1] + u[r, c + 1]
                    weight = fidelity[row, column]
                    new = coupling * (around + inflow[row, column]) + weight * known[row, column]
                    new /= weight + np.float32(4) * coupling
                    change += (new - u[r, c]) * (new - u[r, c])
                    u[r, c] = new
            for row in range(height):
                u[row + 1, 0], u[row + 1, width + 1] = u[row + 1, 1], u[row + 1, width]
            for column in range(width + 2):
                u[0, column], u[height + 1, column] = u[1, column], u[height, column]
        if change <= np.float32(tolerance * tolerance) * height * width:
            break
        g_y[:] = 0
        for row in range(height):
            for c in range(width):
                t_x = u[row + 1, c + 2] - u[row + 1, c + 1] + b_x[row, c]
                t_y = u[row + 2, c + 1] - u[row + 1, c + 1] + b_y[row, c]
                length = coupling * np.sqrt(t_x * t_x + t_y * t_y)
                kept = length / (length + np.float32(1))
                b_x[row, c] = t_x - kept * t_x
                b_y[row, c] = t_y - kept * t_y
                g_x[c + 1] = kept * t_x - b_x[row, c]
                inflow[row, c] = g_y[c]
                g_y[c] = kept * t_y - b_y[row, c]
            for c in range(width):
                inflow[row, c] += g_x[c] - g_x[c + 1] - g_y[c]
