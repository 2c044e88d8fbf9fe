"""Non-local means (Section IV-B b): each pixel becomes a mean of pixels with similar patches.

Eq. (16) gives pixel j the weight ω(i, j) = exp(−‖I(i) − I(j)‖₂² / h) for pixel i, where I(i) is the
patch around i. Here the patches have all colours, so one weight serves all channels; the image is
mirrored at its border to complete patches, while the mean is over pixels of the image alone.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.engines.cpu import loops
from rsparse.core.patches import positions

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

_BLOCK = 16  # a whole image is smoothed in squares of this side


def non_local_means(
    image: Pixels,
    h: float,
    template: int = 7,
    search: int | None = 21,
    weights: str = "squared",
) -> Pixels:
    """Smooth a whole image by non-local means.

    Parameters
    ----------
    image : uint8 array of shape (h, w, c), RGB or grey
    h : float
        Strength; larger smooths more. In grey levels, but see ``weights``.
    template, search : int
        Sides of the compared patches and of the search window in pixels; both odd. None searches
        the whole image, at a cost that grows with the square of the number of pixels.
    weights : str
        ``squared``: exp(−d²/h²) with the mean square d² of the patches' differences. ``printed``:
        exp(−‖I(i) − I(j)‖₂²/h), eq. (16) as printed, with the sum of squares, so that h = b²·c·s²
        is ``squared`` with s. ``opencv``: ``fastNlMeansDenoisingColored`` of OpenCV, with the
        weights of ``squared``, but lightness and colour (CIELAB) smoothed apart.

    Returns
    -------
    uint8 array of shape (h, w, c)

    References
    ----------
    Buades, Coll, Morel (2005), the paper's [27].
    """
    if weights == "opencv":
        return _opencv(image, h, template, search)
    height, width, channels = image.shape
    b = min(_BLOCK, height, width)
    corners = positions((height, width), b, b)
    smooth = np.empty_like(image)
    blocks = smoothed_blocks(image, corners, b, h, template, search, weights)
    for (y, x), block in zip(corners, blocks, strict=True):
        smooth[y : y + b, x : x + b] = np.rint(block)
    return smooth.reshape(height, width, channels)


def non_local_patches(
    image: Pixels,
    corners: NDArray[np.intp],
    patch_size: int,
    h: float,
    template: int = 7,
    search: int | None = 21,
    weights: str = "squared",
) -> Pixels:
    """Smooth the pixels of some patches only; they equal those of ``non_local_means``.

    Parameters
    ----------
    image, h, template, search, weights
        As in ``non_local_means``; not ``opencv``.
    corners : int array of shape (n, 2)
        Rows and columns of the patches' upper left pixels.
    patch_size : int
        b.

    Returns
    -------
    uint8 array of shape (n, b·b·c)
    """
    blocks = smoothed_blocks(image, corners, patch_size, h, template, search, weights)
    return np.rint(blocks).astype(np.uint8).reshape(len(corners), -1)


def smoothed_blocks(
    image: Pixels,
    corners: NDArray[np.intp],
    b: int,
    h: float,
    template: int,
    search: int | None,
    weights: str,
) -> Floats:
    """Smooth blocks (n, b, b, c) of an image, in grey levels without rounding.

    A pixel's value does not depend on the block in which it is computed.
    """
    height, width, channels = image.shape
    rate = exponent_rate(h, template, channels, weights)
    # A window that reaches over the whole image from everywhere is the whole image.
    moving = search is not None and search // 2 < max(height, width) - 1
    reach = search // 2 if moving and search is not None else b - 1
    shifts = (2 * reach + 1,) * 2 if moving else (height + b - 1, width + b - 1)
    border = reach + template // 2
    padded = cv2.copyMakeBorder(image, *(border,) * 4, cv2.BORDER_REFLECT_101)
    inside = np.pad(np.ones((height, width), np.uint8), border)
    blocks = np.empty((len(corners), b, b, channels), np.float32)
    loops.fastest.non_local(
        padded.reshape(*inside.shape, channels),
        inside,
        np.ascontiguousarray(corners, np.intp),
        template,
        border,
        moving,
        shifts,
        rate,
        blocks,
    )
    return blocks


def exponent_rate(h: float, template: int, channels: int, weights: str) -> float:
    """The factor of the sum of squares in the exponent; see ``weights`` of ``non_local_means``."""
    return 1 / h if weights == "printed" else 1 / (h * h * template * template * channels)


def _opencv(image: Pixels, h: float, template: int, search: int | None) -> Pixels:
    window = search or 2 * max(image.shape[:2]) - 1
    if image.shape[2] == 1:
        smooth = cv2.fastNlMeansDenoising(image, None, h, template, window)
        return np.asarray(smooth, dtype=np.uint8).reshape(image.shape)
    colored = cv2.fastNlMeansDenoisingColored(image[:, :, ::-1], None, h, h, template, window)
    return np.ascontiguousarray(colored[:, :, ::-1], dtype=np.uint8)
