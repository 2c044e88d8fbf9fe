"""Compute class activation maps (Zhou et al. 2016), which show where a network sees a class."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def class_activation_map(
    features: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute the map M_c(i, j) = Σ_k w_k^c f_k(i, j) of one class.

    Its mean over all positions is the score of the class without the bias.

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
    """Subtract the mean over all classes from the classifier's weights.

    Adding one vector to the weights of every class does not change a softmax classifier, but it
    changes the maps of all classes alike. Without such a vector, a map shows the evidence for its
    class relative to the average class. Weights trained with weight decay hardly contain one.

    Parameters
    ----------
    weights : ndarray of shape (n_classes, n_channels)

    Returns
    -------
    ndarray of shape (n_classes, n_channels), float32
    """
    return weights - weights.mean(axis=0)


def stretch_to_unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Stretch a map linearly to [0, 1]; a constant map becomes zeros."""
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.zeros_like(values)
    return (values - np.float32(low)) / np.float32(high - low)


def overlay_map(
    image: NDArray[np.uint8], attention: NDArray[np.float32], opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Overlay an image with the map that explains it.

    Parameters
    ----------
    image : ndarray of shape (h, w, 3), uint8
        RGB.
    attention : ndarray of any two-dimensional shape, float32 in [0, 1]
        It is enlarged smoothly to the image's size; 0 is blue, the middle green, 1 red.
    opacity : float
        Opacity of the map's colours, 0 to 1.

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
