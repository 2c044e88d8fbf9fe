"""Convert decoded images of all modes to 8-bit RGB on white."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsparse.store.repairs import png_chunks

_STRIP = 1 << 22
"""Pixels that are converted at a time; more would only take more memory."""


def with_alpha(image: Image.Image, content: bytes) -> Image.Image:
    """Give a PNG with a transparent colour the alpha channel that Pillow's conversion would not.

    The colour is compared with the samples as they are stored, so before they are reduced to
    8 bits or spread over them.
    """
    if image.format != "PNG" or "transparency" not in image.info or image.mode == "P":
        return image
    depth, n = content[24], 3 if image.mode == "RGB" else 1
    colour = next((c[8:-4] for kind, c in png_chunks(content) if kind == b"tRNS"), b"")
    key = np.frombuffer(colour[: 2 * n], ">u2") & ((1 << depth) - 1)
    if depth == 16:
        samples = np.asarray(image) if image.mode.startswith("I") else _deep_samples(content)
        return _masked(image, samples.reshape(*samples.shape[:2], -1) == key.astype(np.int64))
    values = tuple(int(sample) * 255 // ((1 << depth) - 1) for sample in key)
    image.info["transparency"] = values if n == 3 else values[0]
    return image


def _deep_samples(content: bytes) -> NDArray[Any]:
    """The 16-bit RGB samples of a PNG, of which Pillow gives only the upper 8 bits."""
    import cv2

    samples = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.ndim != 3 or samples.dtype != np.uint16:
        raise ValueError("16-bit colours with a transparent colour")
    return np.asarray(samples)[:, :, 2::-1]


def _masked(image: Image.Image, is_key: NDArray[np.bool_]) -> Image.Image:
    """The image in 8 bits, transparent where all samples are those of the transparent colour."""
    alpha = np.where(is_key.all(axis=2), np.uint8(0), np.uint8(255))
    layer = image if image.mode == "RGB" else Image.fromarray(_to_rgb(image)[:, :, 0])
    layer.info = {key: value for key, value in image.info.items() if key != "transparency"}
    layer.putalpha(Image.fromarray(alpha))
    return layer


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of an image of any mode as RGB, transparent ones on white.

    Returns
    -------
    ndarray of shape (h, w, 3), uint8
    """
    width, height = image.size
    rows = max(_STRIP // width, 1)
    if rows >= height:
        return _to_rgb(image)
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = _to_rgb(strip)
    return pixels


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.uint32) + 128) // 257
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        if image.mode == "La":  # Pillow converts it only to LA
            image = image.convert("LA")
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layer)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)
