"""Apply OpenCV's bilateral filter to a batch of images in torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vector_norm

from rsparse.core.engines.torch.transfer import to_device


def bilateral(images: Tensor, diameter: int, sigma_color: float, sigma_space: float) -> Tensor:
    """Smooth gradients and keep edges, as ``core.filters.bilateral`` does.

    As in OpenCV, the window is a disc, a colour's distance is the sum |Δr| + |Δg| + |Δb|, and
    images are mirrored at their borders without repeating the outermost pixel.

    Parameters
    ----------
    images : float32 tensor of shape (n, c, h, w)
        Whole grey levels 0–255.
    diameter, sigma_color, sigma_space
        As in ``core.filters.bilateral``.

    Returns
    -------
    float32 tensor of shape (n, c, h, w), whole grey levels
    """
    height, width = images.shape[2:]
    radius = max(diameter // 2, 1)
    rows, columns = (_mirrored(length, radius, images.device) for length in (height, width))
    padded = images[:, :, rows][:, :, :, columns]
    squares = np.arange(radius**2 + 1, dtype=np.float32)
    far = to_device(-0.5 * squares / np.float32(sigma_space) ** 2, images.device)
    weighted, weights = torch.zeros_like(images), torch.zeros_like(images[:, :1])
    for i in range(2 * radius + 1):
        for j in range(2 * radius + 1):
            squared = (i - radius) ** 2 + (j - radius) ** 2
            if squared > radius**2:
                continue
            neighbour = padded[:, :, i : i + height, j : j + width]
            distance = vector_norm(neighbour - images, ord=1, dim=1, keepdim=True)
            farness = far[squared].expand_as(distance)
            weight = torch.addcmul(farness, distance, distance, value=-0.5 / sigma_color**2).exp_()
            weighted.addcmul_(weight, neighbour)
            weights += weight
    return weighted.div_(weights).round_()


def _mirrored(length: int, radius: int, device: torch.device) -> Tensor:
    """Return the source pixels of one side when ``radius`` pixels are mirrored at each end."""
    place = np.arange(-radius, length + radius)
    period = max(2 * (length - 1), 1)
    place = np.abs(place) % period
    return to_device(np.minimum(place, period - place), device)
