"""Class activation maps (Zhou et al. 2016): where in an image a class is seen."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def class_activation_map(
    features: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The map M_c(i, j) = Σ_k w_k^c f_k(i, j) of one class.

    Its mean over all positions is the class's score without the bias.

    Parameters
    ----------
    features : ndarray of shape (n_channels, h, w)
        The last feature maps before global average pooling.
    weights : ndarray of shape (n_channels,)
        The classifier's weights for the class.

    Returns
    -------
    ndarray of shape (h, w), float32
    """
    return np.tensordot(weights, features, axes=1).astype(np.float32)


def subtract_average_class(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The classifier's weights with the mean over all classes taken out.

    A softmax classifier is the same when one vector is added to every class's weights, but its
    maps are not: such a vector paints all classes' maps alike. Without it a map shows what speaks
    for its class against the average class. Weights trained with decay have almost none of it.

    Parameters
    ----------
    weights : ndarray of shape (n_classes, n_channels)

    Returns
    -------
    ndarray of shape (n_classes, n_channels), float32
    """
    return weights - weights.mean(axis=0)


def stretch_to_unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map stretched linearly to [0, 1]; zeros where it is the same everywhere."""
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.zeros_like(values)
    return (values - np.float32(low)) / np.float32(high - low)


def overlay_map(
    image: NDArray[np.uint8], attention: NDArray[np.float32], opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Lay a map over the image it explains.

    Parameters
    ----------
    image : ndarray of shape (h, w, 3), uint8
        RGB.
    attention : ndarray of any two-dimensional shape, float32 in [0, 1]
        Enlarged to the image smoothly; blue is 0, green the middle, red 1.
    opacity : float
        Share of the colours in the result, 0 to 1.

    Returns
    -------
    ndarray of shape (h, w, 3), uint8
    """
    height, width = image.shape[:2]
    enlarged = cv2.resize(attention, (width, height), interpolation=cv2.INTER_CUBIC)
    levels = np.rint(np.clip(enlarged, 0, 1) * 255).astype(np.uint8)
    colors = cv2.applyColorMap(levels, cv2.COLORMAP_JET)[:, :, ::-1]
    mixed = (1 - opacity) * image.astype(np.float32) + opacity * colors.astype(np.float32)
    return np.rint(mixed).astype(np.uint8)
