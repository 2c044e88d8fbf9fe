"""Find, decode and encode images.

Stored images are uint8 RGB (h, w, 3); computations use float32 in [0, 1]. The *name* of an image
is its path relative to the folder it was found in, without the suffix (``cat/01``). Names are the
key that joins benign, attacked and purified versions, masks and labels.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from rsparse.core.threads import SharedContext
from rsparse.errors import InputError, system_error
from rsparse.store.files import read_bytes

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
MAX_PIXELS = 100_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ImageFile:
    """An image on disk: its name (the join key), its path and the input it was found in."""

    name: str
    path: Path
    root: Path

    def read(self) -> bytes:
        """The file's bytes."""
        if self.path.exists() and not self.path.is_file():  # reading a pipe would block
            raise InputError(f"{self.path}: is not a regular file")
        return read_bytes(self.path)


def find_images(inputs: Sequence[Path]) -> list[ImageFile]:
    """Find all images in folders (recursively) and single files; return them sorted by name.

    Hidden files and folders, and files without an image suffix, are ignored.

    Raises
    ------
    InputError
        If an input is missing, contains no images, or two files have the same name.
    """
    found: dict[str, ImageFile] = {}
    for root in inputs:
        for image in _images_in(root):
            _refuse_undecodable(image)
            other = found.setdefault(image.name, image)
            if other is not image:
                raise InputError(
                    f"{image.path} and {other.path} would both be named {image.name!r}; "
                    "rename one or put them in different subfolders"
                )
    return [found[name] for name in sorted(found)]


def _refuse_undecodable(image: ImageFile) -> None:
    """Refuse a name that is not valid text, since names are written to JSON and HDF5."""
    try:
        image.name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(image.path).decode("utf-8", "backslashreplace")
        raise InputError(f"{shown}: its name is not valid UTF-8; rename it") from None


def _images_in(root: Path) -> Iterator[ImageFile]:
    try:
        if not root.exists():
            raise InputError(f"{root}: no such file or folder")
    except OSError as error:  # a name too long, a folder that may not be entered
        raise system_error(error, f"{root}: cannot be read") from error
    if not root.is_dir():
        yield ImageFile(root.stem, root, root)
        return
    empty = True
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for file in sorted(files):
            path = Path(folder, file)
            if path.suffix.lower() in EXTENSIONS and not file.startswith("."):
                empty = False
                yield ImageFile(image_name(path.relative_to(root).as_posix()), path, root)
    if empty:
        raise InputError(f"{root}: contains no images ({', '.join(sorted(EXTENSIONS))})")


def image_name(file: str) -> str:
    """Return the name (join key) of an image file: its relative path without the image suffix."""
    stem, suffix = os.path.splitext(file)
    return stem if suffix.lower() in EXTENSIONS else file


def decode_image(content: bytes, path: Path) -> Pixels:
    """Decode a PNG, JPEG, WebP, TIFF or BMP file.

    Grey, palette, CMYK and 16-bit images are converted to 8-bit RGB. Transparent images are
    placed on white, and EXIF rotation is applied. Of several frames, the first is used.

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
        If it is empty, not such an image, truncated, or has more than ``MAX_PIXELS``.
    """
    if not content:
        raise InputError(f"{path}: is an empty file")
    with _WITHOUT_WARNINGS:
        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                with _LIBTIFF_SILENT if image.format == "TIFF" else nullcontext():
                    image.load()
                return np.array(_to_rgb(_upright(image)), dtype=np.uint8)
        except Image.DecompressionBombError:
            raise InputError(
                f"{path}: has more than {MAX_PIXELS // 1_000_000} million pixels; shrink it first"
            ) from None
        except UnidentifiedImageError:
            raise InputError(f"{path}: is not a PNG, JPEG, WebP, TIFF or BMP image") from None
        except MemoryError:
            raise
        except Exception as error:  # a decoder may raise anything on hostile bytes
            detail = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{path}: cannot be decoded: {detail}") from error


@contextmanager
def _libtiff_silent() -> Iterator[None]:
    """Silence libtiff, which writes to the process's stderr although Pillow raises the error."""
    try:
        stderr = os.dup(2)
    except OSError:  # the process has no stderr
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


_LIBTIFF_SILENT = SharedContext(_libtiff_silent)
_WITHOUT_WARNINGS = SharedContext(lambda: warnings.catch_warnings(action="ignore"))
"""Pillow warns about metadata that is not used here."""


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF says nothing about the pixels
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError("more than 16 bits per pixel")
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels; save it with 8 or 16 bits")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


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
