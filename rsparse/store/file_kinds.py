"""Recognize kinds of files by their first bytes, to say what a file is that cannot be used."""

from __future__ import annotations

import re
from pathlib import Path

HEAD = 1024
"""Number of first bytes that ``kind_of`` needs."""

READABLE = ("PNG", "JPEG", "WebP", "TIFF", "BMP")

_OF_SUFFIX = {
    **dict.fromkeys((".png", ".apng"), "PNG"),
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp"), "JPEG"),
    ".webp": "WebP",
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
}
SUFFIXES = frozenset(_OF_SUFFIX)
"""Suffixes of the formats that are read."""

_PICTURES = (
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("JPEG", rb"\xff\xd8\xff"),
    ("WebP", rb"RIFF....WEBP"),
    ("Canon raw image", rb"II\*\x00.{4}CR"),
    ("TIFF", rb"II[\*\+]\x00|MM\x00[\*\+]"),
    ("BMP", rb"BM.{4}\x00\x00\x00\x00.{4}[\x0c\x28\x38\x40\x6c\x7c]\x00\x00\x00"),
    ("GIF", rb"GIF8[79]a"),
    ("AVIF", rb".{4}ftyp(avi[fs]|m[is]f1.{4}(.{4}){0,8}?avi[fs])"),
    ("HEIC", rb".{4}ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)"),
    ("Canon raw image", rb".{4}ftypcrx"),
    ("JPEG XL", rb"\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n"),
    ("JPEG 2000", rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    ("SVG", rb"(?i)\s*(<\?xml.*?)?(<!--.*?-->\s*)*(<!doctype svg.*?)?<svg[\s>]"),
    ("Photoshop", rb"8BPS"),
    ("GIMP", rb"gimp xcf"),
    ("PNM", rb"P[1-6]\s+(#[^\n]*\n\s*)*\d|P7\n|P[fF]\n"),
    ("OpenEXR", rb"v/1\x01"),
    ("Radiance HDR", rb"#\?(RADIANCE|RGBE)"),
    ("QOI", rb"qoif"),
    ("DDS", rb"DDS "),
    ("DICOM", rb".{128}DICM"),
    ("FITS", rb"SIMPLE  ="),
    ("Fujifilm raw image", rb"FUJIFILMCCD-RAW"),
)
_OTHERS = (
    ("a PDF document", rb"%PDF-"),
    ("a PostScript document", rb"%!PS"),
    ("an HTML page", rb"(?i)\s*(<!--.*?-->\s*)*<(!doctype html|html|head)[\s>]"),
    ("a Git LFS pointer (fetch the file with git lfs pull)", rb"version https://git-lfs"),
    ("a video", rb".{4}ftyp|\x1aE\xdf\xa3|RIFF....AVI "),
    ("a ZIP archive", rb"PK\x03\x04"),
    ("a gzip file", rb"\x1f\x8b"),
    ("an HDF5 file", rb"\x89HDF\r\n\x1a\n"),
    ("a NumPy array", rb"\x93NUMPY"),
    ("a JSON file", rb"\s*[\[{]\s*[\"{\[]"),
    ("an XML file", rb"\s*<\?xml"),
)


def _compiled(table: tuple[tuple[str, bytes], ...]) -> list[tuple[str, re.Pattern[bytes]]]:
    return [(kind, re.compile(pattern, re.DOTALL)) for kind, pattern in table]


_PICTURE_PATTERNS = _compiled(_PICTURES)
_OTHER_PATTERNS = _compiled(_OTHERS)

PICTURE_SUFFIXES = {
    ".gif": "GIF", ".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC", ".avif": "AVIF", ".svg": "SVG",
    ".svgz": "SVG", ".jxl": "JPEG XL", ".jp2": "JPEG 2000", ".j2k": "JPEG 2000",
    ".jpf": "JPEG 2000", ".jpx": "JPEG 2000", ".psd": "Photoshop", ".xcf": "GIMP", ".ppm": "PNM",
    ".pgm": "PNM", ".pbm": "PNM", ".pnm": "PNM", ".pfm": "PFM", ".exr": "OpenEXR",
    ".hdr": "Radiance HDR", ".qoi": "QOI", ".dds": "DDS", ".ico": "icon", ".tga": "TGA",
    ".dcm": "DICOM", ".cr2": "Canon raw image", ".cr3": "Canon raw image",
    ".nef": "Nikon raw image", ".arw": "Sony raw image", ".raf": "Fujifilm raw image",
    ".orf": "Olympus raw image", ".rw2": "Panasonic raw image", ".dng": "DNG raw image",
}  # fmt: skip
"""Suffixes of pictures in formats that are not read, with the names of the formats."""


def kind_of_suffix(path: Path) -> str | None:
    """The format that a file's suffix stands for, if it is one that is read."""
    return _OF_SUFFIX.get(path.suffix.lower())


def kind_of(head: bytes) -> str | None:
    """The kind of a file by its first bytes: ``HEIC``, ``a PDF document``; None if unknown."""
    kind = picture_kind_of(head)
    if kind is not None:
        return kind
    for kind, pattern in _OTHER_PATTERNS:
        if pattern.match(head):
            return kind
    return None


def not_readable(head: bytes) -> str:
    """What is wrong with a file that is no image by its first bytes, and what it is instead."""
    kind, is_picture = kind_of(head), picture_kind_of(head) is not None
    found = "" if kind is None else f", but {kind}{'; convert it to PNG' * is_picture}"
    return f"is not a {', '.join(READABLE[:-1])} or {READABLE[-1]} image{found}"


def picture_kind_of(head: bytes) -> str | None:
    """The format of a picture by its first bytes; None if it does not look like a picture."""
    for kind, pattern in _PICTURE_PATTERNS:
        if pattern.match(head):
            return kind
    return None


def picture_kind_of_file(path: Path) -> str | None:
    """The format of a file that looks like a picture by its content or its suffix, else None."""
    by_suffix = PICTURE_SUFFIXES.get(path.suffix.lower())
    if by_suffix is not None and by_suffix.endswith("raw image"):
        return by_suffix  # most of them begin as a TIFF file
    try:
        with path.open("rb") as file:
            return picture_kind_of(file.read(HEAD)) or by_suffix
    except OSError:
        return by_suffix
