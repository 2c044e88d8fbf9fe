"""Differentiate total variation minimisation at its solution.

The solution z of ½ f (z − x)² + Σ φ(|∇z|) satisfies f (z − x) + ∇ᵀφ′ = 0, so its Jacobian is
(F + H)⁻¹ F with the second derivatives H of the sum (implicit differentiation). The system is
solved by conjugate gradients.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_ITERATIONS = 60
_RESIDUAL = 1e-4  # relative to the right-hand side
_FLATTEST = 1e-3  # differences below a quarter of a grey level are lost in rounding


def variation_vjp(
    cleaned: NDArray[np.floating] | Pixels,
    upper: Floats,
    weight: float,
    kept: NDArray[np.bool_] | None = None,
    iterations: int = _ITERATIONS,
) -> Floats:
    """Multiply a gradient by the transposed Jacobian of ``core.variation.least_variation``.

    Parameters
    ----------
    cleaned : array of shape (h, w, 3)
        The smooth image: uint8, or floats in [0, 1].
    upper : float32 array of shape (h, w, 3)
        Gradient with respect to ``cleaned``.
    weight : float
    kept : bool array of shape (h, w, 3), optional
        As in ``least_variation``.
    iterations : int
        Most steps of conjugate gradients; more are more exact.

    Returns
    -------
    float32 array of shape (h, w, 3)
        Gradient with respect to the given image.
    """
    z = np.asarray(cleaned, np.float64) / (255 if cleaned.dtype == np.uint8 else 1)
    fidelity = np.full(z.shape, 1 / weight)
    if kept is not None:
        fidelity = fidelity * kept
    curvature = _Curvature(z, 2 / weight)
    solved = _conjugate_gradients(
        lambda v: fidelity * v + curvature.times(v),
        upper.astype(np.float64),
        fidelity + curvature.diagonal(),
        iterations,
    )
    return (fidelity * solved).astype(np.float32)


class _Curvature:
    """The matrix of second derivatives of Σ φ(|∇z|), for each channel of an image (h, w, 3).

    φ is the total variation as the split Bregman method with coupling μ smooths it: for a
    difference d its slope is μs/(μs + 1), where d = s · μs/(μs + 1).
    """

    def __init__(self, z: Doubles, coupling: float) -> None:
        right, down = _differences(z)
        d = np.maximum(np.hypot(right, down), _FLATTEST)
        root = np.sqrt(d * d + 4 * d / coupling)
        s = (d + root) / 2
        slope = coupling * s / (coupling * s + 1)
        along = coupling / (coupling * s + 1) ** 2 * (1 + (d + 2 / coupling) / root) / 2
        across = slope / d
        right, down = right / d, down / d
        self._right = across + (along - across) * right * right
        self._down = across + (along - across) * down * down
        self._mixed = (along - across) * right * down

    def times(self, v: Doubles) -> Doubles:
        """The product with an image."""
        right, down = _differences(v)
        return _from_differences(
            self._right * right + self._mixed * down, self._mixed * right + self._down * down
        )

    def diagonal(self) -> Doubles:
        """An estimate of the diagonal, for preconditioning."""
        total = self._right + self._down
        total[:, 1:] += self._right[:, :-1]
        total[1:] += self._down[:-1]
        return total


def _differences(z: Doubles) -> tuple[Doubles, Doubles]:
    """Forward differences along rows and columns; 0 at the far border."""
    right, down = np.zeros_like(z), np.zeros_like(z)
    right[:, :-1] = z[:, 1:] - z[:, :-1]
    down[:-1] = z[1:] - z[:-1]
    return right, down


def _from_differences(right: Doubles, down: Doubles) -> Doubles:
    """The transpose of ``_differences``."""
    result = np.zeros_like(right)
    result[:, :-1] -= right[:, :-1]
    result[:, 1:] += right[:, :-1]
    result[:-1] -= down[:-1]
    result[1:] += down[:-1]
    return result


def _conjugate_gradients(
    times: Callable[[Doubles], Doubles], b: Doubles, diagonal: Doubles, iterations: int
) -> Doubles:
    """Solve A v = b for a symmetric positive A, preconditioned by its diagonal."""
    v, residual = np.zeros_like(b), b.copy()
    enough = _RESIDUAL * np.linalg.norm(b)
    scaled = residual / diagonal
    direction, power = scaled, float(np.sum(residual * scaled))
    for _ in range(iterations):
        if np.linalg.norm(residual) <= enough:
            break
        image = times(direction)
        length = power / float(np.sum(direction * image))
        v += length * direction
        residual -= length * image
        scaled = residual / diagonal
        before, power = power, float(np.sum(residual * scaled))
        direction = scaled + power / before * direction
    return v
