"""Differentiate non-local means with its weights held."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.non_local import exponent_rate

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def non_local_vjp(
    image: Pixels,
    upper: Floats,
    h: float,
    template: int,
    search: int | None,
    weights: str = "squared",
) -> Floats:
    """Multiply a gradient by the transposed matrix of weights of non-local means, eq. (16).

    The weights themselves are not differentiated, so this is a substitute, not the derivative.
    OpenCV smooths lightness and colour apart; its substitute has the weights of ``squared``.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
        The image that was smoothed.
    upper : float32 array of shape (h, w, 3)
        Gradient with respect to the smoothed image.
    h, template, search, weights
        As in ``core.non_local.non_local_means``.

    Returns
    -------
    float32 array of shape (h, w, 3)
        Gradient with respect to ``image``.
    """
    rate = exponent_rate(h, template, image.shape[2], weights)
    middle = template // 2
    padded = cv2.copyMakeBorder(image, *(middle,) * 4, cv2.BORDER_REFLECT_101).astype(np.float32)
    height, width = image.shape[:2]
    down, right = (
        length - 1 if search is None else min(search // 2, length - 1) for length in (height, width)
    )
    shifts = [(dy, dx) for dy in range(-down, down + 1) for dx in range(-right, right + 1)]
    sums = np.zeros((height, width), np.float32)
    for own, _, alike in _pairs(padded, shifts, template, rate):
        sums[own] += alike
    share = upper / sums[:, :, None]
    lower = np.zeros(image.shape, np.float32)
    for own, other, alike in _pairs(padded, shifts, template, rate):
        lower[other] += alike[:, :, None] * share[own]
    return lower


Place = tuple[slice, slice]


def _pairs(
    padded: Floats, shifts: list[tuple[int, int]], template: int, rate: float
) -> Iterator[tuple[Place, Place, Floats]]:
    """Yield pixels, their neighbours at a shift, both within the image, and their weights."""
    height, width = padded.shape[0] - template + 1, padded.shape[1] - template + 1
    for dy, dx in shifts:
        own = _span(height, dy), _span(width, dx)
        other = _span(height, -dy), _span(width, -dx)
        squares = np.square(padded[_wider(own, template)] - padded[_wider(other, template)])
        sums = cv2.boxFilter(
            squares.sum(axis=2), -1, (template, template), anchor=(0, 0), normalize=False
        )
        distances = sums[: own[0].stop - own[0].start, : own[1].stop - own[1].start]
        yield own, other, np.exp(np.float32(-rate) * distances)


def _span(length: int, shift: int) -> slice:
    """The places from which a shift leads to a place within the length."""
    return slice(max(0, -shift), min(length, length - shift))


def _wider(place: Place, template: int) -> Place:
    """The places in the padded image that the templates cover."""
    return slice(place[0].start, place[0].stop + template - 1), slice(
        place[1].start, place[1].stop + template - 1
    )
