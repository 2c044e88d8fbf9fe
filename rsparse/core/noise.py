"""How much noise an image shows, and whether that noise has an attack's period of two.

The strength of an attack shows in the flattest parts of an image, where only noise is left.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# Immerkær, "Fast noise variance estimation" (1996): blind to planes and straight edges. The norm
# of its numbers is 6, so white noise keeps its deviation.
_LAPLACIAN_DIFFERENCE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32) / 6
_WINDOW = 8
_QUANTILE = 0.02
_FLAT = 1e-3  # power of a block, in squared grey levels, in which there is nothing to share out
_FLAT_POWER = 4.0  # at which a block weighs half of a flat one
_LARGEST_SHARE = 4.0  # of a pixel, in its block's mean: one point does not decide
_FEWEST_BLOCKS = 12
_CONTRASTS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 4  # rows, columns, both


def noise_level(image: Pixels) -> float:
    """The deviation of the noise in the flattest parts of an image, in grey levels.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB

    Returns
    -------
    float
        The 2 % quantile of the local deviation, over windows of 8×8, of the grey image filtered
        so that planes and straight edges vanish. 0 for an image that is flat somewhere.

    Notes
    -----
    Texture is not mistaken for noise as long as a fiftieth of the image has none.
    """
    rest = _rest(image)
    side = (min(_WINDOW, image.shape[1]), min(_WINDOW, image.shape[0]))
    power = cv2.blur(rest * rest, side, borderType=cv2.BORDER_REFLECT_101)
    return float(np.sqrt(max(np.quantile(power, _QUANTILE), 0)))


def period_two(image: Pixels) -> float:
    """How surely the noise in an image differs between its even and odd rows and columns.

    Networks take an image in through convolutions of stride 2, so that gradients, and what an
    attack makes of them, are not alike on even and odd pixels. Most photographs hardly have such a
    period; JPEG files of just this size, whose blocks have an even side, have more of it.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB

    Returns
    -------
    float
        Hotelling's T² over blocks of 8×8, divided by its 3 degrees of freedom: about 1 where even
        and odd pixels are alike, for images of any size. 0 for an image too small or too flat to
        tell.

    Notes
    -----
    Of the grey image, filtered as for ``noise_level``, each block tells how its power is shared
    out among the four kinds of pixels. Relative to the block's power, it does not matter how
    strong the noise is; flat blocks, which hold little else, weigh more. An image that was
    attacked at another size and then resized has lost the period.
    """
    side = _WINDOW
    rows, columns = ((length - 4) // side * side for length in image.shape[:2])
    if min(rows, columns) < side:
        return 0.0
    rest = _rest(image)[2 : 2 + rows, 2 : 2 + columns].astype(np.float64)  # mirrored at the border
    squares = np.square(rest).reshape(rows // side, side, columns // side, side)
    power = squares.transpose(0, 2, 1, 3).reshape(-1, side, side)
    mean = power.mean(axis=(1, 2))
    power, mean = power[mean > _FLAT], mean[mean > _FLAT]
    if len(mean) < _FEWEST_BLOCKS:
        return 0.0
    shares = np.minimum(power / mean[:, None, None], _LARGEST_SHARE)
    kinds = shares.reshape(-1, side // 2, 2, side // 2, 2).mean(axis=(1, 3)).reshape(-1, 4)
    contrasts = kinds @ _CONTRASTS
    weights = 1 / (1 + mean / _FLAT_POWER)
    weights /= weights.sum()
    average = weights @ contrasts
    spread = (contrasts * weights[:, None]).T @ contrasts + 1e-9 * np.eye(3)
    independent = 1 / np.square(weights).sum()
    return float(independent * average @ np.linalg.solve(spread, average) / 3)


def _rest(image: Pixels) -> NDArray[np.float32]:
    """The grey image (h, w) without planes and straight edges."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    rest = cv2.filter2D(grey, -1, _LAPLACIAN_DIFFERENCE, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(rest, dtype=np.float32)
