"""Compress images: JPEG, JPEG with random quality per block, and fewer bits per colour."""

from __future__ import annotations

import io
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from rsparse.errors import InputError

Pixels = NDArray[np.uint8]

_LARGEST_JPEG = 65_500  # libjpeg's JPEG_MAX_DIMENSION


def jpeg(image: Pixels, quality: int) -> Pixels:
    """Compress an image as JPEG and decode it, with colours at half the resolution (4:2:0).

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    quality : int
        libjpeg's quality, 1 to 100; a lower quality removes more.

    Raises
    ------
    InputError
        If a side is longer than a JPEG file can hold.
    """
    height, width = image.shape[:2]
    if max(height, width) > _LARGEST_JPEG:
        raise InputError(
            f"is {width}×{height} pixels; JPEG allows at most {_LARGEST_JPEG} on each side"
        )
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def jpeg_codec() -> dict[str, str]:
    """Name and version of the library behind ``jpeg``; results differ slightly between builds."""
    turbo = features.version_feature("libjpeg_turbo")
    if turbo:
        return {"libjpeg-turbo": turbo}
    return {"libjpeg": features.version_codec("jpg") or "unknown"}


def local_quantization(
    image: Pixels, qualities: Sequence[int], block: int, rng: np.random.Generator
) -> Pixels:
    """Compress each block at a random one of the given qualities.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    qualities : sequence of int
        Qualities of ``jpeg`` to choose from.
    block : int
        Side of the blocks in pixels; those at the right and bottom edges may be smaller.
    rng : numpy.random.Generator

    Raises
    ------
    InputError
        As for ``jpeg``.
    """
    height, width = image.shape[:2]
    drawn = drawn_versions((height, width), len(qualities), block, rng)
    mixed = np.empty_like(image)
    for number, quality in enumerate(qualities):
        np.copyto(mixed, jpeg(image, quality), where=(drawn == number)[:, :, None])
    return mixed


def drawn_versions(
    shape: tuple[int, int], n_versions: int, block: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw which version of an image of a height and width each block is taken from, (h, w)."""
    height, width = shape
    drawn = rng.integers(n_versions, size=(-(-height // block), -(-width // block)))
    return drawn.repeat(block, axis=0)[:height].repeat(block, axis=1)[:, :width]


def reduce_bits(image: Pixels, bits: int) -> Pixels:
    """Round every colour value to ``bits`` bits: rint(x·(2ᵇ − 1)) / (2ᵇ − 1) for x in [0, 1]."""
    levels = 2**bits - 1
    table = np.rint(np.rint(np.arange(256) / 255 * levels) / levels * 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), dtype=np.uint8)
