"""Pictures for the page, made when they are asked for."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from rsparse.core.change import amplified_difference
from rsparse.errors import InputError
from rsparse.pictures.small import encode_webp, shrunk
from rsparse.store.images import encode_png
from rsparse.viewer.versions import Pixels, Version

THUMBNAIL, LARGEST = 192, 2048
"""The longer side of a thumbnail, and of a picture shown whole."""

_PIXELS, _THUMBNAILS = 256 << 20, 64 << 20  # bytes that are kept
Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Values that are kept until they are too large together; the one unused longest goes first.

    Several threads may use it.
    """

    def __init__(self, limit: int, size: Callable[[Value], int]) -> None:
        self._limit, self._size = limit, size
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._total = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, which is made if it is not there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._total += self._size(value)
            while self._total > self._limit and len(self._values) > 1:
                self._total -= self._size(self._values.popitem(last=False)[1])
        return value


class Pictures:
    """The pictures of versions; few are decoded at a time, so that memory is bounded."""

    def __init__(self) -> None:
        self._pixels: Recent[Pixels] = Recent(_PIXELS, lambda pixels: pixels.nbytes)
        self._thumbnails: Recent[bytes] = Recent(_THUMBNAILS, len)
        self._turns = threading.Semaphore(max(os.cpu_count() or 1, 2))
        self.thumbnails_made = 0

    def pixels(self, version: Version, number: int) -> Pixels:
        """The pixels of an image.

        Raises
        ------
        InputError
            If they cannot be had.
        """
        return self._pixels.get((version, number), lambda: version.load(number))

    def thumbnail(self, version: Version, number: int) -> bytes:
        """A small WebP picture of an image."""
        return self._thumbnails.get((version, number), lambda: self._thumbnail(version, number))

    def _thumbnail(self, version: Version, number: int) -> bytes:
        with self._turns:
            self.thumbnails_made += 1
            return encode_webp(shrunk(version.load(number), THUMBNAIL), 82, effort=2)

    def whole(self, version: Version, number: int) -> bytes:
        """An image as PNG, exact unless it is larger than ``LARGEST``."""
        with self._turns:
            return encode_png(shrunk(self.pixels(version, number), LARGEST))

    def difference(self, version: Version, before: Version, number: int) -> bytes:
        """The difference of two versions ×10 as PNG; grey is no difference.

        Raises
        ------
        InputError
            If their sizes differ.
        """
        with self._turns:
            one, other = self.pixels(before, number), self.pixels(version, number)
            if one.shape != other.shape:
                sizes = f"{one.shape[1]}×{one.shape[0]} and {other.shape[1]}×{other.shape[0]}"
                raise InputError(f"the sizes differ: {sizes}")
            return encode_png(shrunk(amplified_difference(one, other), LARGEST))
