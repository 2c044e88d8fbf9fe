"""Decode and encode images.

Stored images are uint8 RGB (h, w, 3); computations use float32 in [0, 1]. The *name* of an image
is its path relative to the folder it was found in, without the suffix (``cat/01``). Names are the
key that joins benign, attacked and purified versions, masks and labels.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from rsparse.core.threads import SharedContext
from rsparse.errors import InputError, is_out_of_memory
from rsparse.store.file_kinds import (
    HEAD,
    READABLE,
    SUFFIXES,
    kind_of,
    kind_of_suffix,
    not_readable,
)
from rsparse.store.files import read_bytes, sha256_of
from rsparse.store.repairs import repaired_versions
from rsparse.store.rgb import to_rgb, with_alpha
from rsparse.store.silence import silent_stderr
from rsparse.store.tiff import header_of, with_whole_range
from rsparse.store.variants import variant_of

MAX_PIXELS = 100_000_000
MAX_SIDE = 65_535
MAX_BYTES = 1 << 30
RESERVED = 20
"""Bytes a pixel that decoding, purifying and encoding need, measured by benchmarks/large.py."""
_LARGE = 1 << 23
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ImageFile:
    """An image on disk: its name (the join key), its path and the input it was found in.

    ``sha256`` is the digest that the manifest of its folder lists, if there is one.
    """

    name: str
    path: Path
    root: Path
    sha256: str | None = field(default=None, kw_only=True)

    def read(self) -> bytes:
        """The file's bytes; see ``read_with_digest``."""
        return self._content() if self.sha256 is None else self.read_with_digest()[0]

    def read_with_digest(self) -> tuple[bytes, str]:
        """The file's bytes and their SHA-256.

        Raises
        ------
        InputError
            If it cannot be read, or differs from the manifest of its folder.
        """
        content = self._content()
        digest = sha256_of(content)
        if self.sha256 not in (None, digest):
            raise InputError(f"{self.path}: differs from the manifest of its folder")
        return content, digest

    def _content(self) -> bytes:
        try:
            status = self.path.stat()
        except OSError:  # read_bytes gives the reason
            return read_bytes(self.path)
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would block
            raise InputError(f"{self.path}: is not a regular file")
        if status.st_size > MAX_BYTES:
            raise InputError(f"{self.path}: is larger than {MAX_BYTES >> 30} GiB; shrink it first")
        return read_bytes(self.path)


def image_name(file: str) -> str:
    """Return the name (join key) of an image file: its relative path without the image suffix."""
    stem, suffix = os.path.splitext(file)
    return stem if suffix in SUFFIXES or suffix.lower() in SUFFIXES else file


def decode_image(content: bytes, path: Path) -> Pixels:
    """Decode a PNG, JPEG, WebP, TIFF or BMP file, whatever its suffix.

    Grey, palette, CMYK and 16-bit images are converted to 8-bit RGB. Transparent images are
    placed on white, and EXIF rotation is applied. Of several frames or pages, the first is used.
    Metadata that cannot be read is ignored, and so is a missing end marker of a JPEG. Samples
    whose black and white are not certain (floating point, signed, 32 bits) are refused.

    Parameters
    ----------
    content : bytes
        The file's content.
    path : Path
        The file's path, for messages.

    Returns
    -------
    ndarray of shape (h, w, 3), uint8

    Raises
    ------
    InputError
        If it is empty, not such an image, truncated, or larger than ``MAX_PIXELS`` or
        ``MAX_SIDE``.
    """
    if not content:
        raise InputError(f"{path}: is an empty file")
    with _WITHOUT_WARNINGS:
        try:
            return _decoded(content)
        except Image.DecompressionBombError:
            raise InputError(
                f"{path}: has more than {MAX_PIXELS // 1_000_000} million pixels or a side of more "
                f"than {MAX_SIDE:,}; shrink it first"
            ) from None
        except Exception as error:  # a decoder may raise anything on hostile bytes
            if is_out_of_memory(error):
                raise
            pixels = _decoded_after_repair(content)
            if pixels is None:
                raise _refusal(error, content, path) from error
            return pixels


_WITHOUT_WARNINGS = SharedContext(lambda: warnings.catch_warnings(action="ignore"))
"""Pillow warns about metadata that is not used here."""


def _reserve(n_pixels: int) -> None:
    """Raise at once if a large image will need more memory than can be had."""
    if n_pixels >= _LARGE:
        np.empty(n_pixels * RESERVED, np.uint8)  # never touched, so it costs nothing


class _UnreadVariantError(Exception):
    """The file is valid, but its samples have no certain range."""


def _decoded(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
            raise Image.DecompressionBombError
        _reserve(image.width * image.height)
        uses_libtiff = any(tile[0] == "libtiff" for tile in image.tile)
        header = header_of(image.tag_v2) if isinstance(image, TiffImageFile) else None
        if header is not None and not header.has_range():
            raise _UnreadVariantError
        with silent_stderr() if uses_libtiff else nullcontext():
            image.load()
        if header is not None:
            return to_rgb(with_whole_range(image, header))  # Pillow has rotated it
        return to_rgb(_upright(with_alpha(image, content)))


def _decoded_after_repair(content: bytes) -> Pixels | None:
    """The pixels of a file of which only metadata or the end marker is damaged, else None."""
    for first, *others in repaired_versions(content):
        try:
            pixels = _decoded(first)
            if all(np.array_equal(_decoded(other), pixels) for other in others):
                return pixels
        except Exception as error:
            if is_out_of_memory(error):
                raise
    return None


def _refusal(error: Exception, content: bytes, path: Path) -> InputError:
    """The error for a file that is no usable image; it says what the file is instead."""
    kind = kind_of(content[:HEAD])
    is_unread = isinstance(error, (UnidentifiedImageError, _UnreadVariantError)) or kind == "JPEG"
    variant = variant_of(content) if is_unread else None
    if variant is not None:
        return InputError(
            f"{path}: is {variant}, which is not read; save it as PNG of 8 or 16 bits"
        )
    if not isinstance(error, UnidentifiedImageError):
        detail = _detail(error, kind)
    elif kind in READABLE:
        detail = "its header is damaged"
    else:
        return InputError(f"{path}: {not_readable(content[:HEAD])}")
    is_named = kind is None or kind == kind_of_suffix(path)
    return InputError(f"{path}: cannot be decoded{'' if is_named else f' as {kind}'}: {detail}")


def _detail(error: Exception, kind: str | None) -> str:
    """What a decoder says, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if kind == "TIFF" and text.startswith("decoder error"):  # a number follows
        return "its compressed data are damaged"
    return f"{text}; save it as PNG" if text.startswith("Unsupported") else text


def _upright(image: Image.Image) -> Image.Image:
    """The image rotated or flipped as its EXIF says, if that can be read."""
    try:
        method = _ROTATIONS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF says nothing about the pixels
        method = None
    return image if method is None else image.transpose(method)


_ROTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def pixels_in_header(path: Path) -> int:
    """The number of pixels that an image has by its header; 0 if that is unknown."""
    try:
        with _WITHOUT_WARNINGS, Image.open(path, formats=_FORMATS) as image:
            return image.width * image.height
    except Exception:  # whatever is wrong with it is told when it is decoded
        return 0


def encode_png(pixels: Pixels) -> bytes:
    """Encode RGB (h, w, 3) or one-channel (h, w) uint8 pixels as PNG.

    With zlib's compression level 3 and libpng's filters, this takes a third of the time of the
    usual level 6 and a few per cent more bytes.
    """
    import cv2

    channels_last = pixels[:, :, ::-1] if pixels.ndim == 3 else pixels
    ok, buffer = cv2.imencode(".png", channels_last, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not ok:
        raise ValueError(f"cannot encode {pixels.dtype} pixels of shape {pixels.shape} as PNG")
    return buffer.tobytes()


def to_unit(pixels: Pixels) -> NDArray[np.float32]:
    """Convert uint8 pixels to float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255)


def to_pixels(x: NDArray[np.float32]) -> Pixels:
    """Clip float pixels to [0, 1] and round them to uint8."""
    return np.rint(np.clip(x, 0, 1) * np.float32(255)).astype(np.uint8)
