"""Versions of an image file that cannot be decoded, without what costs no pixels.

Metadata is removed: text, colour profiles, previews and comments. A JPEG that ends too early gets
an end marker; whether it lacks pixels shows when further bytes before that marker change them.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator

from rsparse.store.jpeg import has_all_scans, jpeg_segments

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
_WEBP_PIXELS = frozenset({b"ALPH", b"VP8 ", b"VP8L", b"ANIM", b"ANMF"})
_WEBP_METADATA_FLAGS = 0x20 | 0x08 | 0x04
_END = b"\xff\xd9"


def repaired_versions(content: bytes) -> Iterator[tuple[bytes, ...]]:
    """Contents to try instead of ``content``, the best first.

    The contents of one tuple must all be decoded to the same pixels.
    """
    strip = _stripper(content)
    if strip is not None:
        for keep_orientation in (True, False):
            stripped = strip(content, keep_orientation)
            if stripped != content:
                yield (stripped,)
    if content.startswith(b"\xff\xd8") and has_all_scans(content):
        begun = content.rstrip(b"\xff")
        yield tuple(begun + more + _END for more in (b"", _filler(1), _filler(2)))


def _filler(seed: int) -> bytes:
    """Bytes that stand for further compressed pixels; none of them begins a marker."""
    return random.Random(seed).randbytes(4096).replace(b"\xff", b"\x55")


def _stripper(content: bytes) -> Callable[[bytes, bool], bytes] | None:
    """The function that removes metadata from a file of this format."""
    if content.startswith(_PNG):
        return strip_png
    if content.startswith(b"\xff\xd8"):
        return strip_jpeg
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return strip_webp
    return None


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind of each chunk of a PNG, and the whole chunk with its length and checksum."""
    place = len(_PNG)
    while place + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        kind = content[place + 4 : place + 8]
        yield kind, content[place : place + 12 + length]
        if kind == b"IEND":
            return
        place += 12 + length


def strip_png(content: bytes, keep_orientation: bool) -> bytes:
    """Return a PNG with only the chunks that pixels need; with EXIF's orientation if asked to."""
    kept = _PNG_PIXELS | ({b"eXIf"} if keep_orientation else set())
    end = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
    chunks = (chunk for kind, chunk in png_chunks(content) if kind in kept)
    return _PNG + b"".join(chunks) + end


def strip_jpeg(content: bytes, keep_orientation: bool) -> bytes:
    """Return a JPEG without comments and without application segments that pixels do not need."""
    parts, end = [content[:2]], 2
    for marker, start, end in jpeg_segments(content):
        body = content[start + 4 : end]
        is_needed = (
            not (0xE0 <= marker <= 0xEF or marker == 0xFE)
            or marker in (0xE0, 0xEE)  # JFIF and Adobe say how colours are stored
            or (marker == 0xE1 and keep_orientation and body.startswith(b"Exif\0\0"))
        )
        if is_needed:
            parts.append(content[start:end])
        if marker == 0xDA:
            break
    return b"".join(parts) + content[end:]


def strip_webp(content: bytes, keep_orientation: bool) -> bytes:
    """Return a WebP with only the chunks that pixels need; with EXIF's orientation if asked to."""
    kept, place = [], 12
    dropped_flags = _WEBP_METADATA_FLAGS & ~(0x08 if keep_orientation else 0)
    while place + 8 <= len(content):
        kind, length = struct.unpack_from("<4sI", content, place)
        end = place + 8 + length + length % 2
        chunk = content[place:end]
        if kind == b"VP8X" and len(chunk) >= 18:
            chunk = chunk[:8] + bytes([chunk[8] & ~dropped_flags & 0xFF]) + chunk[9:]
            kept.append(chunk)
        elif kind in _WEBP_PIXELS or (kind == b"EXIF" and keep_orientation):
            kept.append(chunk)
        place = end
    body = b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
