"""Define RegionSparse (Section IV-C): sparse coding of the object, a bilateral filter around it.

This module defines the method once; the engines in ``core.engines`` do the computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines import engine_for
from rsparse.core.engines.engine import Engine
from rsparse.core.localization import locate_object
from rsparse.errors import InputError
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Array = TypeVar("Array")


class Region(NamedTuple):
    """The region of an image that is sparsely coded.

    ``mask`` (h, w) is true on the object region; ``theta`` (h, w) float32 in [0, 1] is θ of
    eq. (19): the parameter ``theta`` inside the region, 0 outside, and a ramp across the border.
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

    This is eq. (18) for two regions. Eq. (19) adds two images, so θ is read as a weight of each
    pixel: C(x_o) is the coded image, C(x_b) the filtered one, and θ trades one against the other.
    Outside the object region it is 0; inside it is the parameter ``theta``, 1 by default.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
        Each side is at least as long as the dictionary's patch size.
    dictionary : Dictionary
    parameters : PurifyParameters, optional
    localization : LocalizeParameters, optional
        How to locate the object if no mask is given.
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
    region = object_region(image, dictionary, parameters, localization, mask)
    return purify_batch([image], [region], dictionary, parameters, engine_for())[0]


def purify_batch(
    images: Sequence[Pixels],
    regions: Sequence[Region],
    dictionary: Dictionary,
    parameters: PurifyParameters,
    engine: Engine[Array],
) -> list[Pixels]:
    """Clean images of any sizes by RegionSparse; images of one size are processed together.

    Parameters
    ----------
    images : sequence of uint8 arrays of shape (h, w, 3), RGB
    regions : sequence of Region
        The result of ``object_region`` for each image.
    dictionary : Dictionary
    parameters : PurifyParameters
    engine : Engine

    Returns
    -------
    list of uint8 arrays of shape (h, w, 3)
        An image's pixels do not depend on the others.

    Raises
    ------
    InputError
        If the engine's memory is too small for even one image.
    """
    alike: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(images):
        alike.setdefault(image.shape, []).append(number)
    clean: dict[int, Pixels] = {}
    for numbers in alike.values():
        most = engine.most_images or len(numbers)
        for start in range(0, len(numbers), most):
            some = numbers[start : start + most]
            own = [images[number] for number in some], [regions[number] for number in some]
            clean.update(
                zip(some, _purify_alike(*own, dictionary, parameters, engine), strict=True)
            )
    return [clean[number] for number in range(len(images))]


def _purify_alike(
    images: Sequence[Pixels],
    regions: Sequence[Region],
    dictionary: Dictionary,
    parameters: PurifyParameters,
    engine: Engine[Array],
) -> list[Pixels]:
    """Clean images of one size; split the batch if memory runs out."""
    try:
        with engine.session():
            pixels = engine.upload(images)
            return list(engine.download(purified(pixels, regions, dictionary, parameters, engine)))
    except engine.out_of_memory:
        pass  # leave this block first, so that the memory of the failed attempt is freed
    half = len(images) // 2
    if half == 0:
        height, width = images[0].shape[:2]
        raise InputError(
            f"is {width}×{height} pixels, too large for the memory of device {engine.device!r}; "
            "use a larger --stride, or --device cpu"
        )
    return [
        clean
        for part in (slice(half), slice(half, None))
        for clean in _purify_alike(images[part], regions[part], dictionary, parameters, engine)
    ]


def purified(
    pixels: Array,
    regions: Sequence[Region],
    dictionary: Dictionary,
    parameters: PurifyParameters,
    engine: Engine[Array],
) -> Array:
    """Apply the method, eq. (19), to images of one size; the result may still be computing.

    Parameters
    ----------
    pixels : Array of shape (n, h, w, 3)
        An array of the engine, with whole grey levels.
    regions : sequence of n Regions
    dictionary, parameters, engine
        As in ``purify_batch``.

    Returns
    -------
    Array of shape (n, h, w, 3)
        An array of the engine, with whole grey levels.
    """
    filtered = _filtered(pixels, regions, parameters, engine)
    x_b = filtered if parameters.filter_background else pixels
    if not any(region.theta.any() for region in regions):
        return x_b
    return engine.code_over(
        filtered if parameters.prefilter else pixels,
        [region.theta > 0 for region in regions],
        dictionary,
        (parameters.sparsity, covering_stride(parameters, dictionary), parameters.min_correlation),
        [region.theta for region in regions],
        x_b,
    )


def covering_stride(parameters: PurifyParameters, dictionary: Dictionary) -> int:
    """The stride, but at most the side of a patch: a larger one would leave pixels uncoded."""
    return min(parameters.stride, dictionary.patch_size)


def _filtered(
    pixels: Array, regions: Sequence[Region], parameters: PurifyParameters, engine: Engine[Array]
) -> Array:
    """Apply the bilateral filter to the images whose result depends on it."""
    chosen = [
        number
        for number, region in enumerate(regions)
        if parameters.prefilter or (parameters.filter_background and (region.theta < 1).any())
    ]
    if not chosen:
        return pixels
    return engine.bilateral(
        pixels,
        chosen,
        parameters.bilateral_diameter,
        parameters.bilateral_sigma_color,
        parameters.bilateral_sigma_space,
    )


def object_region(
    image: Pixels,
    dictionary: Dictionary,
    parameters: PurifyParameters,
    localization: LocalizeParameters | None = None,
    mask: Mask | None = None,
) -> Region:
    """Determine the object region of an image to purify; see ``purify`` for the arguments.

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
        raise InputError(
            f"is {width}×{height} pixels, but its mask is {mask.shape[1]}×{mask.shape[0]}"
        )
    mask = mask.astype(bool)
    return Region(mask, _soft(mask, parameters.feather) * np.float32(parameters.theta))


def _soft(mask: Mask, feather: float) -> Floats:
    """Compute each pixel's share of the region from the mask."""
    theta = mask.astype(np.float32)
    if feather == 0 or mask.all():
        return theta
    blurred = np.asarray(cv2.GaussianBlur(theta, (0, 0), feather), dtype=np.float32)
    blurred[blurred < 1e-3] = 0
    return blurred
