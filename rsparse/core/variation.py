"""Minimise total variation: find the smoothest image close to the known pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.engines.cpu import loops

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def least_variation(
    image: Pixels,
    weight: float,
    iterations: int,
    kept: NDArray[np.bool_] | None = None,
    tolerance: float = 1e-4,
) -> Pixels:
    """Minimise ½ Σ_kept (z − x)² + weight · TV(z), channel by channel (eq. 5 and 6).

    The paper's eq. 5 has the norm itself; the square is that of Guo et al.'s code.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    weight : float
        Weight of the isotropic total variation, for colours in [0, 1]; larger smooths more.
    iterations : int
        Maximum number of iterations of the split Bregman method (see ``numpy_loops.smooth``).
    kept : bool array of shape (h, w, 3), optional
        The known values; the others are filled in. By default all values are known.
    tolerance : float
        Stop when the root mean square change of the image in one iteration, for colours in
        [0, 1], is smaller. scikit-image stops at 1e-3, Guo et al. at 1e-2.

    Returns
    -------
    uint8 array of shape (h, w, 3), RGB

    References
    ----------
    Rudin, Osher, Fatemi (1992); Goldstein, Osher (2009), "The split Bregman method for
    L1-regularized problems"; Guo et al. (2018) for the mask.
    """
    smooth = np.empty_like(image)
    for channel in range(3):  # one after the other, which saves memory
        known = image[:, :, channel].astype(np.float32) / np.float32(255)
        fidelity = np.full_like(known, 1 / weight)
        if kept is not None:
            known *= kept[:, :, channel]
            fidelity *= kept[:, :, channel]
        plane = _plane(known, fidelity, iterations, tolerance)
        smooth[:, :, channel] = np.rint(np.clip(plane, 0, 1) * 255)
    return smooth


def _plane(known: Floats, fidelity: Floats, iterations: int, tolerance: float) -> Floats:
    """Smooth one channel; the result is ½ everywhere if nothing is known."""
    if not fidelity.any():
        return np.full_like(known, 0.5)
    u = np.pad(_filled(known, fidelity > 0), 1, mode="edge")
    loops.fastest.smooth(u, known, fidelity, tolerance, iterations)
    return u[1:-1, 1:-1]


def _filled(known: Floats, is_known: NDArray[np.bool_]) -> Floats:
    """Fill unknown pixels with the mean of their known neighbours, or of all known pixels."""
    share = cv2.blur(is_known.astype(np.float32), (3, 3))
    means = np.full_like(known, known[is_known].mean())
    np.divide(cv2.blur(known, (3, 3)), share, out=means, where=share > 1e-3)
    return np.where(is_known, known, means)
