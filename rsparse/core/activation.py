"""Measure how strongly a layer's feature detectors respond (the paper's Section III, eq. 7)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def total_activation(peaks: NDArray[np.floating], gamma: float = 0.0) -> NDArray[np.float64]:
    """Compute the total activation V_l of a layer (eq. 7).

    ``V_l = Σ p·sign(p − γ)`` over the detectors with ``p − γ > 0``. Since the sign is 1 there,
    this is the sum of the peaks above γ.

    Parameters
    ----------
    peaks : ndarray of shape (..., n_channels)
        Activation p of each detector: the maximum of its feature map over all positions.
    gamma : float
        Threshold γ in units of activation; a detector at or below it is not activated. A larger
        γ counts fewer, stronger detectors.

    Returns
    -------
    ndarray of shape (...), float64

    Examples
    --------
    >>> float(total_activation(np.array([-1.0, 0.5, 2.0, 3.0]), gamma=0.5))
    5.0
    """
    p = np.asarray(peaks, np.float64)
    return np.where(p > gamma, p, 0.0).sum(axis=-1)


def activation_ratio(
    adversarial: NDArray[np.float64], benign: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Divide the total activation of adversarial images by that of their benign originals.

    Parameters
    ----------
    adversarial, benign : ndarray of shape (...), float64
        V_l of the two versions.

    Returns
    -------
    ndarray of shape (...), float64
        1 if both are equally active; NaN if the benign version activates nothing.
    """
    active = benign > 0
    return np.divide(adversarial, benign, out=np.full(np.shape(benign), np.nan), where=active)
