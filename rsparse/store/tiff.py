"""The header of TIFF files: what their samples are, whether that is read, and how."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS = 256, 257, 258, 259, 262
_STRIPS, _TILES, _SAMPLES, _FORMAT, _PALETTE = 273, 324, 277, 339, 320
_SIGNED, _FLOAT = 2, 3
_FORMATS = {_SIGNED: "signed integers", _FLOAT: "floating point", 5: "complex", 6: "complex"}
_PALETTE_COLOURS = 3
_UNUSUAL_COLOURS = {
    4: "a transparency mask", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "a colour filter array",
    32844: "logarithmic luminance", 32845: "logarithmic colours", 34892: "linear raw data",
}  # fmt: skip
_COMPRESSIONS = {
    2: "CCITT", 3: "fax", 4: "fax", 5: "LZW", 6: "old JPEG", 7: "JPEG", 8: "deflate",
    32773: "PackBits", 32946: "deflate", 34661: "JBIG", 34712: "JPEG 2000", 34887: "LERC",
    34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL",
}  # fmt: skip
_USUAL_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946})


@dataclass(frozen=True)
class TiffHeader:
    """The samples of a TIFF file's first picture.

    Attributes
    ----------
    bits : int
        Bits of a sample.
    n_samples : int
        Samples of a pixel.
    number : int
        The code of the kind of number.
    colours : int
        The code of the colour space, which TIFF calls the photometric interpretation.
    compression : int
        The code of the compression.
    """

    bits: int
    n_samples: int
    number: int
    colours: int
    compression: int

    def has_range(self) -> bool:
        """Whether black and white are certain: unsigned samples of at most 16 bits."""
        return self.number not in _FORMATS and self.bits <= 16

    def text(self) -> str:
        """``3 samples of 32-bit floating point a pixel``, with unusual colours and compression."""
        noun = "sample" if self.n_samples == 1 else "samples"
        number = _FORMATS.get(self.number, "integers")
        parts = [f"{self.n_samples} {noun} of {self.bits}-bit {number} a pixel"]
        if self.colours in _UNUSUAL_COLOURS:
            parts.append(f"colours as {_UNUSUAL_COLOURS[self.colours]}")
        if self.compression not in _USUAL_COMPRESSIONS:
            name = _COMPRESSIONS.get(self.compression, f"number {self.compression}")
            parts.append(f"compression {name}")
        return ", ".join(parts)


def read_tiff_header(content: bytes) -> TiffHeader | None:
    """The header of a TIFF file; None if it is damaged."""
    try:
        tags = ImageFileDirectory_v2(content[:16] if content[2:3] in b"+\0" else content[:8])
        file = io.BytesIO(content)
        file.seek(tags.next or len(content))
        tags.load(file)
        places = list(_all(tags.get(_STRIPS) or tags[_TILES]))
        is_whole = min(tags[_WIDTH], tags[_HEIGHT]) > 0 and max(places) < len(content)
        header = header_of(tags)
        if header.colours == _PALETTE_COLOURS and _PALETTE not in tags:
            return None
    except Exception:  # Pillow raises many errors on hostile bytes
        return None
    return header if is_whole else None


def header_of(tags: Any) -> TiffHeader:
    """The header in the tags of a TIFF file, given by their numbers."""
    bits = list(_all(tags.get(_BITS, 1)))
    return TiffHeader(
        max(bits),
        int(tags.get(_SAMPLES, len(bits))),
        max(_all(tags.get(_FORMAT, 1))),
        int(tags.get(_COLOURS, 0)),
        int(tags.get(_COMPRESSION, 1)),
    )


def _all(value: Any) -> Iterable[int]:
    return map(int, value) if isinstance(value, tuple) else [int(value)]


def with_whole_range(image: Image.Image, header: TiffHeader) -> Image.Image:
    """A loaded grey image with samples of 16 bits from black to white.

    Pillow leaves samples of 12 bits as they are, and does not invert deep samples where 0 is white.
    """
    is_inverted = header.colours == 0
    if not image.mode.startswith("I;16") or (header.bits == 16 and not is_inverted):
        return image
    samples = np.asarray(image)
    if header.bits < 16:
        largest = (1 << header.bits) - 1
        samples = ((samples.astype(np.uint32) * 65535 + largest // 2) // largest).astype(np.uint16)
    return Image.fromarray(65535 - samples if is_inverted else samples)
