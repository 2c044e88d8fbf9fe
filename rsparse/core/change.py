"""Measure how much an image was changed."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class Change(NamedTuple):
    """The change of an image.

    Attributes
    ----------
    psnr : float
        Peak signal-to-noise ratio in dB, 10 log₁₀(255² / mean squared difference), with two
        decimals; infinite for an unchanged image.
    linf : int
        Largest change of a value, in grey levels.
    """

    psnr: float
    linf: int

    @property
    def is_none(self) -> bool:
        """Whether all pixels are equal."""
        return self.linf == 0


def change_between(image: Pixels, other: Pixels) -> Change:
    """Measure the change from one image to another, without copies of them.

    Parameters
    ----------
    image, other : uint8 arrays of the same shape (h, w, 3)
    """
    linf = int(cv2.norm(image, other, cv2.NORM_INF))
    if linf == 0:
        return Change(math.inf, 0)
    squares = cv2.norm(image, other, cv2.NORM_L2SQR)
    return Change(round(10 * math.log10(255**2 * image.size / squares), 2), linf)


def amplified_difference(image: Pixels, other: Pixels, factor: int = 10) -> Pixels:
    """A picture of the change from one image to another: 128 + factor · (other − image), clipped.

    Parameters
    ----------
    image, other : uint8 arrays of the same shape (h, w, 3)
    factor : int
        Grey levels in the picture for each grey level of the change.
    """
    change = other.astype(np.int16) - image
    return np.clip(128 + factor * change, 0, 255).astype(np.uint8)
