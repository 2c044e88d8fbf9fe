"""Image files of every supported kind, and some that only claim to be images."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rsparse.store.images import decode_image

PATH = Path("in/x.png")
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "BMP": {},
}
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif", "BMP": ".bmp"}


def encode(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encode the pixels, lossless if the format allows it."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, kind, **{**LOSSLESS.get(kind, {"quality": 95}), **options})
    return file.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One PNG chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(
        ">I", zlib.crc32(kind + content)
    )  # fmt: skip


def png(width: int, height: int, rows: bytes, *, depth: int = 8, color: int = 2,
        chunks: bytes = b"") -> bytes:  # fmt: skip
    """A PNG built by hand: ``rows`` holds a filter byte and the samples of each row."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + chunks
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def bomb() -> bytes:
    """A PNG smaller than a kilobyte that claims to have 50000×50000 pixels."""
    return png(50_000, 50_000, b"\0" * 100)


def decode(content: bytes) -> np.ndarray:
    """The pixels of a file, 8-bit RGB."""
    pixels = decode_image(content, PATH)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return pixels
