"""Smoothing of whole images by OpenCV: non-local means and the bilateral filter."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def non_local_means(image: Pixels, h: float, template: int = 7, search: int = 21) -> Pixels:
    """Smooth by non-local means, eq. (16), colours apart from lightness (CIELAB).

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    h : float
        Strength in grey levels, larger smooths more.
    template, search : int
        Sides of the compared patches and of the searched window, odd, in pixels.

    References
    ----------
    Buades, Coll, Morel (2005), the paper's [27]; OpenCV's ``fastNlMeansDenoisingColored``.
    """
    smoothed = cv2.fastNlMeansDenoisingColored(image[:, :, ::-1], None, h, h, template, search)
    return np.ascontiguousarray(smoothed[:, :, ::-1], dtype=np.uint8)


def bilateral(image: Pixels, diameter: int, sigma_color: float, sigma_space: float) -> Pixels:
    """Smooth gradients and keep edges: the paper's background perturbation suppression.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    diameter : int
        Of the neighbourhood, in pixels.
    sigma_color : float
        Grey levels; neighbours that differ by much more count little.
    sigma_space : float
        Pixels; neighbours much farther away count little.
    """
    filtered = cv2.bilateralFilter(image, diameter, sigma_color, sigma_space)
    return np.asarray(filtered, dtype=np.uint8)
