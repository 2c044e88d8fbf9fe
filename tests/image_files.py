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


def tiff(samples: bytes, *, bits: int = 8, number: int = 1, colours: int = 1, n: int = 1,
         compression: int = 1, width: int = 20, height: int = 4) -> bytes:  # fmt: skip
    """A TIFF built by hand, in one strip; ``number`` and ``colours`` are TIFF's codes."""
    values = {
        256: [width], 257: [height], 258: [bits] * n, 259: [compression], 262: [colours],
        273: [0], 277: [n], 278: [height], 279: [len(samples)], 339: [number] * n,
    }  # fmt: skip
    after = 8 + 2 + 12 * len(values) + 4
    extra = b"".join(struct.pack(f"<{n}H", *v) for v in values.values() if len(v) > 2)
    values[273] = [after + len(extra)]
    entries, place = b"", after
    for tag, numbers in values.items():
        packed = struct.pack(f"<{len(numbers)}H", *numbers)
        if len(packed) > 4:
            packed, place = struct.pack("<I", place), place + len(packed)
        entries += struct.pack("<HHI", tag, 3, len(numbers)) + packed.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(values))
    return head + entries + b"\0" * 4 + extra + samples


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
