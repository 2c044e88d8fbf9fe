"""RegionSparse (Section IV-C): sparse coding on the object, a bilateral filter around it."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.cpu.coding import sparse_code
from rsparse.core.filters import bilateral
from rsparse.core.localization import locate_object
from rsparse.errors import InputError
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]


class Region(NamedTuple):
    """Where an image is sparsely coded.

    ``mask`` (h, w) is true on the object region; ``theta`` (h, w) float32 in [0, 1] is θ of
    eq. (19): 1 inside the region, 0 outside, a ramp across the border.
    """

    mask: Mask
    theta: Floats


def purify(
    image: Pixels,
    dictionary: Dictionary,
    parameters: PurifyParameters | None = None,
    localization: LocalizeParameters | None = None,
    mask: Mask | None = None,
) -> Pixels:
    """Clean one image by RegionSparse: F(x) = θ C(x_o) + (1 − θ) C(x_b), eq. (19).

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
        Each side at least the dictionary's patch size.
    dictionary : Dictionary
    parameters : PurifyParameters, optional
    localization : LocalizeParameters, optional
        How the object region is found where no mask is given.
    mask : bool array of shape (h, w), optional
        True on the object region.

    Returns
    -------
    uint8 array of shape (h, w, 3), RGB

    Raises
    ------
    InputError
        If the image is smaller than a patch, or the mask has another size.
    """
    parameters = parameters or PurifyParameters()
    mask, theta = object_region(image, dictionary, parameters, localization, mask)
    filtered = image
    if parameters.prefilter or (parameters.filter_background and not mask.all()):
        filtered = bilateral(
            image,
            parameters.bilateral_diameter,
            parameters.bilateral_sigma_color,
            parameters.bilateral_sigma_space,
        )
    x_b = filtered if parameters.filter_background else image
    if not mask.any():
        return x_b
    x = (filtered if parameters.prefilter else image).astype(np.float32) / np.float32(255)
    x_o, covered = sparse_code(
        x,
        dictionary,
        parameters.sparsity,
        parameters.stride,
        theta > 0,
        weakest=parameters.min_correlation,
    )
    weight = np.where(covered, theta, 0)[:, :, None]
    mixed = weight * np.clip(x_o, 0, 1) * np.float32(255) + (1 - weight) * x_b
    return np.rint(mixed).astype(np.uint8)


def object_region(
    image: Pixels,
    dictionary: Dictionary,
    parameters: PurifyParameters,
    localization: LocalizeParameters | None = None,
    mask: Mask | None = None,
) -> Region:
    """The object region of an image that is to be purified; the arguments are ``purify``'s.

    Raises
    ------
    InputError
        If the image is smaller than a patch, or the mask has another size.
    """
    b = dictionary.patch_size
    height, width = image.shape[:2]
    if min(height, width) < b:
        raise InputError(f"is {width}×{height} pixels, smaller than a patch of {b}×{b}")
    if not parameters.localize:
        mask = np.ones((height, width), dtype=bool)
    elif mask is None:
        mask = locate_object(image, localization)[0]
    elif mask.shape != (height, width):
        raise InputError(f"is {width}×{height} pixels, its mask {mask.shape[1]}×{mask.shape[0]}")
    mask = mask.astype(bool)
    return Region(mask, _soft(mask, parameters.feather))


def _soft(mask: Mask, feather: float) -> Floats:
    """θ for each pixel."""
    theta = mask.astype(np.float32)
    if feather == 0 or mask.all():
        return theta
    blurred = cv2.GaussianBlur(theta, (0, 0), feather)
    return np.where(blurred < 1e-3, 0, blurred).astype(np.float32)
