"""The structure of JPEG files: their segments, and whether the last scan has begun."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_NEXT_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd9-\xfe])")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")


def jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The marker, start and end of each segment; the compressed data after a scan is skipped.

    The end of a truncated segment lies beyond the end of the content.
    """
    place = 2
    while True:
        found = _NEXT_MARKER.search(content, place)
        if found is None:
            return
        start, marker = found.end() - 2, found[1][0]
        if marker == 0xD9 or found.end() + 2 > len(content):
            yield marker, start, found.end() if marker == 0xD9 else len(content) + 1
            return
        (length,) = struct.unpack_from(">H", content, found.end())
        place = found.end() + max(length, 2)
        yield marker, start, place


@dataclass
class _Progress:
    """What the scans so far have brought: the precision of each coefficient of each component."""

    is_progressive: bool = False
    size: tuple[int, int] = (0, 0)
    factors: dict[int, tuple[int, int]] = field(default_factory=dict)
    missing_bits: dict[int, list[int]] = field(default_factory=dict)
    interval: int = 0
    last: tuple[int, ...] = ()

    def read_frame(self, marker: int, body: bytes) -> None:
        """Read the image's size and components."""
        self.is_progressive = marker in _PROGRESSIVE
        _, height, width, n = struct.unpack_from(">BHHB", body)
        self.size = height, width
        for number in range(n):
            name, factors, _ = struct.unpack_from("BBB", body, 6 + 3 * number)
            self.factors[name] = max(factors >> 4, 1), max(factors & 15, 1)
            self.missing_bits[name] = [99] * 64

    def read_scan(self, body: bytes) -> None:
        """Note which coefficients of which components a scan brings."""
        n = body[0]
        self.last = tuple(body[1 + 2 * number] for number in range(n))
        first, last, bits = body[1 + 2 * n], body[2 + 2 * n], body[3 + 2 * n] & 15
        if not self.is_progressive:
            first, last, bits = 0, 63, 0
        for name in self.last:
            self.missing_bits[name][first : last + 1] = [bits] * (last + 1 - first)

    def is_complete(self) -> bool:
        """Whether no further scan is needed."""
        bits = [value for values in self.missing_bits.values() for value in values]
        return bool(bits) and not any(bits)

    def restarts(self) -> int:
        """The number of restart markers in the last scan."""
        if not self.interval:
            return 0
        across, down = (max(f[axis] for f in self.factors.values()) for axis in (0, 1))
        height, width = self.size
        if len(self.last) == 1:  # one component: its own blocks
            own = self.factors[self.last[0]]
            height, width = -(-height * own[1] // down), -(-width * own[0] // across)
            across = down = 1
        n = -(-height // (8 * down)) * -(-width // (8 * across))
        return -(-n // self.interval) - 1


def has_all_scans(content: bytes) -> bool:
    """Whether a JPEG lacks its end marker, and its last scan has begun with all restart markers.

    If so, only the end of the last scan can be missing.
    """
    progress, end = _Progress(), len(content)
    try:
        for marker, start, end in jpeg_segments(content):
            if marker == 0xD9 or end > len(content):
                return False
            body = content[start + 4 : end]
            if marker in _FRAMES:
                progress.read_frame(marker, body)
            elif marker == 0xDD:
                (progress.interval,) = struct.unpack_from(">H", body)
            elif marker == 0xDA:
                progress.read_scan(body)
        return progress.is_complete() and (
            len(_RESTART.findall(content, end)) >= progress.restarts()
        )
    except (IndexError, KeyError, struct.error):  # a damaged segment
        return False
