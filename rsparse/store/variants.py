"""Say what a valid file holds that is not read, although its format is."""

from __future__ import annotations

from rsparse.store.jpeg import jpeg_segments
from rsparse.store.tiff import read_tiff_header

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_READ_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
_JPEG_LS = 0xF7


def variant_of(content: bytes) -> str | None:
    """What a TIFF or JPEG file is: ``a TIFF with 3 samples of 32-bit floating point a pixel``.

    Returns
    -------
    str or None
        None if the header is damaged, or a JPEG is of a kind that is read.
    """
    if content[:2] in (b"II", b"MM"):
        header = read_tiff_header(content)
        return None if header is None else f"a TIFF with {header.text()}"
    if content[:2] == b"\xff\xd8":
        return _jpeg_variant(content)
    return None


def _jpeg_variant(content: bytes) -> str | None:
    for marker, start, end in jpeg_segments(content):
        if marker not in _FRAMES or end > len(content) or end - start < 10:
            continue
        bits, n_samples = content[start + 4], content[start + 9]
        if marker == _JPEG_LS:
            return "a JPEG-LS file"
        if marker in _LOSSLESS:
            return f"a lossless JPEG of {bits} bits"
        if marker not in _READ_FRAMES:
            return "a hierarchical JPEG"
        if bits != 8:
            return f"a JPEG of {bits} bits"
        return None if n_samples in (1, 3, 4) else f"a JPEG of {n_samples} colours"
    return None
