"""Small pictures for pages."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def shrunk(pixels: Pixels, side: int) -> Pixels:
    """A picture whose longer side is at most ``side`` pixels; a smaller one as it is."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def encode_webp(pixels: Pixels, quality: int = 88, effort: int = 4) -> bytes:
    """Encode RGB (h, w, 3) pixels as WebP; with less ``effort`` (0 to 6), faster and larger."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=quality, method=effort)
    return buffer.getvalue()
