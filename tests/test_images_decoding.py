"""Decoding and encoding: every supported kind of file, and the errors for others."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageOps

from rsparse.store import rgb
from rsparse.store.images import decode_image, encode_png, to_pixels, to_unit
from tests.conftest import make_picture
from tests.image_files import LOSSLESS, PATH, bomb, decode, encode, png, png_chunk, tiff
from tests.refusals import refused

TOO_LARGE = "has more than 100 million pixels or a side of more than 65,535; shrink it first"
UNREAD = ", which is not read; save it as PNG of 8 or 16 bits"


@pytest.fixture(autouse=True)
def silent(capfd):
    """Check that nothing is printed, not even by C libraries."""
    yield
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return make_picture(1, 13, 17)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_are_read_exactly(kind, picture):
    np.testing.assert_array_equal(decode(encode(picture, kind)), picture)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}])
def test_jpeg_is_read(options):
    smooth = np.asarray(Image.fromarray(make_picture(1)).resize((8, 8)).resize((64, 48)))
    again = decode(encode(smooth, "JPEG", **options))
    assert np.abs(again.astype(int) - smooth).mean() < 4


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff_is_read(compression, picture):
    np.testing.assert_array_equal(decode(encode(picture, "TIFF", compression=compression)), picture)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_grey_is_repeated_for_each_channel(kind, picture):
    grey = np.ascontiguousarray(picture[:, :, 0])
    expected = np.repeat(grey[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(decode(encode(grey, kind)), expected)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_is_black_and_white(kind):
    bits = np.random.default_rng(0).random((9, 11)) > 0.5
    pixels = decode(encode(Image.fromarray(bits), kind))
    np.testing.assert_array_equal(pixels[:, :, 1], bits * np.uint8(255))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_transparency_is_laid_on_white(kind, picture):
    alpha = np.full((13, 17, 1), 255, dtype=np.uint8)
    alpha[:4] = 0
    alpha[4:8] = 51
    pixels = decode(encode(np.concatenate([picture, alpha], axis=2), kind, exact=True))
    assert (pixels[:4] == 255).all()
    mixed = 0.2 * picture[4:8] + 0.8 * 255
    np.testing.assert_allclose(pixels[4:8], mixed, atol=1.01)
    np.testing.assert_array_equal(pixels[8:], picture[8:])


def test_grey_with_transparency_is_laid_on_white():
    image = Image.new("LA", (3, 2), (40, 0))
    image.putpixel((1, 1), (40, 255))
    pixels = decode(encode(image))
    assert pixels[1, 1].tolist() == [40, 40, 40]
    assert (np.delete(pixels.reshape(-1, 3), 4, axis=0) == 255).all()


def test_a_palette_with_a_transparent_colour():
    image = Image.new("P", (4, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for place, index in enumerate((0, 1, 2, 1)):
        image.putpixel((place, 0), index)
    assert decode(encode(image))[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 255, 0]]
    with_hole = decode(encode(image, transparency=1))[0].tolist()
    assert with_hole == [[255, 0, 0], [255, 255, 255], [0, 0, 255], [255, 255, 255]]


def test_rgb_with_a_transparent_colour(picture):
    picture = picture.copy()
    picture[0, 0] = (1, 2, 3)
    pixels = decode(encode(picture, transparency=(1, 2, 3)))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(pixels[1:], picture[1:])


def test_cmyk_jpeg_is_read_in_the_right_sense():
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan: red
    red = decode(encode(cmyk, "JPEG"))
    np.testing.assert_allclose(red[8, 8], (255, 0, 0), atol=4)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_rounded_to_eight(kind):
    levels = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], dtype=np.uint16)
    pixels = decode(encode(levels, kind))
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 1, 128, 254, 255, 255]
    assert (pixels[:, :, 1:] == pixels[:, :, :1]).all()


def test_sixteen_bit_colour_png():
    samples = [(0, 257 * 100, 65535), (257 * 7, 257 * 8, 257 * 9)]
    row = b"\0" + b"".join(value.to_bytes(2, "big") for pixel in samples for value in pixel)
    pixels = decode(png(2, 1, row, depth=16))
    assert pixels[0].tolist() == [[0, 100, 255], [7, 8, 9]]


def test_big_endian_sixteen_bit_tiff():
    image = Image.fromarray(np.array([[257, 65535]], dtype=">u2"))
    assert decode(encode(image, "TIFF"))[0, :, 0].tolist() == [1, 255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_rotation_of_exif_is_applied(kind, orientation):
    corners = np.zeros((32, 48, 3), dtype=np.uint8)
    corners[:16, :24] = (255, 0, 0)
    corners[16:, 24:] = (0, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(encode(corners, kind, exif=exif))
    reference = Image.fromarray(corners)
    reference.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(reference))
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < 8
    assert pixels.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))


def test_sixteen_bit_grey_is_rotated_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = decode(encode(np.array([[0, 65535]], dtype=np.uint16), "PNG", exif=exif))
    assert pixels[:, :, 0].tolist() == [[0], [255]]


@pytest.mark.parametrize(
    ("depth", "color", "row", "key", "expected"),
    [
        (1, 0, b"\x80", (1,), [255, 0]),
        (1, 0, b"\x80", (0,), [255, 255]),
        (2, 0, b"\x60", (1,), [255, 170]),
        (4, 0, b"\x3a", (3,), [255, 170]),
        (8, 0, b"\x03\x0a", (3,), [255, 10]),
        (16, 0, b"\1\2\1\3", (0x102,), [255, 1]),
        (16, 0, b"\1\2\1\3", (0x104,), [1, 1]),
        (8, 2, b"\1\2\3\1\2\4", (1, 2, 3), [255, 1]),
        (16, 2, b"\1\2\3\4\5\6\1\2\3\4\5\7", (0x102, 0x304, 0x506), [255, 1]),
        (16, 2, b"\1\2\3\4\5\6\1\2\3\4\5\7", (1, 3, 5), [1, 1]),
    ],
)
def test_a_transparent_colour_is_compared_with_the_stored_samples(depth, color, row, key, expected):
    """The comparison is made before the samples are converted to 8 bits."""
    chunk = png_chunk(b"tRNS", b"".join(sample.to_bytes(2, "big") for sample in key))
    pixels = decode(png(2, 1, b"\0" + row, depth=depth, color=color, chunks=chunk))
    assert pixels[0, :, 0].tolist() == expected


def test_sixteen_bit_alpha_is_laid_on_white():
    samples = b"\0\x40\0\0\0\x40\0\xff\xff"
    assert decode(png(2, 1, samples, depth=16, color=4))[0, :, 0].tolist() == [255, 64]


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "LA", "RGBA", "I;16", "CMYK"])
def test_large_images_are_converted_in_strips_to_the_same_pixels(mode, picture, monkeypatch):
    grey = Image.fromarray(picture[:, :, 0].astype(np.uint16) * 257)
    image = grey if mode == "I;16" else Image.fromarray(picture).convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    content = encode(image, kind, **({"transparency": 3} if mode == "P" else {}))
    whole = decode(content)
    monkeypatch.setattr(rgb, "_STRIP", 50)
    np.testing.assert_array_equal(decode(content), whole)


def test_threads_decode_together_and_leave_warnings_as_they_were(picture):
    contents = [encode(picture, "TIFF", compression="tiff_lzw"), encode(picture)] * 20
    filters = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        for pixels in pool.map(decode, contents):
            np.testing.assert_array_equal(pixels, picture)
    assert warnings.filters == filters


def test_the_first_of_several_frames_is_taken(picture):
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    for kind in ("PNG", "WEBP", "TIFF"):
        content = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        np.testing.assert_array_equal(decode(content), picture)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is an empty file"),
        (b"these are words\n", "is not a PNG, JPEG, WebP, TIFF or BMP image"),
        (b"GIF89a" + b"\0" * 50,
         "is not a PNG, JPEG, WebP, TIFF or BMP image, but GIF; convert it to PNG"),
        (b"\0\0\0\x1cftypheic" + b"\0" * 50,
         "is not a PNG, JPEG, WebP, TIFF or BMP image, but HEIC; convert it to PNG"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf" + b"\0" * 50,
         "is not a PNG, JPEG, WebP, TIFF or BMP image, but AVIF; convert it to PNG"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
         "is not a PNG, JPEG, WebP, TIFF or BMP image, but SVG; convert it to PNG"),
        (b"%PDF-1.7\n", "is not a PNG, JPEG, WebP, TIFF or BMP image, but a PDF document"),
        (b"<!DOCTYPE html><p>404", "is not a PNG, JPEG, WebP, TIFF or BMP image, but an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n",
         "is not a PNG, JPEG, WebP, TIFF or BMP image, but a Git LFS pointer (fetch the file with "
         "git lfs pull)"),
        (b"\x89PNG\r\n\x1a\n", "cannot be decoded: its header is damaged"),
        (b"\xff\xd8\xff\xe0", "cannot be decoded as JPEG: its header is damaged"),
        (bomb(), TOO_LARGE),
        (png(65_536, 1, b"\0" * 100), TOO_LARGE),
        (encode(np.zeros((3, 3), np.float32), "TIFF"),
         f"is a TIFF with 1 sample of 32-bit floating point a pixel{UNREAD}"),
        (encode(np.full((3, 3), 70_000, np.int32), "TIFF"),
         f"is a TIFF with 1 sample of 32-bit signed integers a pixel{UNREAD}"),
        (png(20, 10, b"\0" * 10),
         "cannot be decoded: image file is truncated (0 bytes not processed)"),
    ],
    ids=["empty", "text", "gif", "heic", "avif", "svg", "pdf", "html", "lfs", "signature", "jpeg",
         "bomb", "long", "float", "32-bit", "short"],
)  # fmt: skip
def test_what_is_no_usable_image_is_refused(content, message):
    with refused(f"{PATH}: {message}"):
        decode_image(content, PATH)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 7, 3), (5, 7)])
def test_encoding_is_lossless_and_repeatable(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    content = encode_png(pixels)
    assert content == encode_png(pixels)
    again = decode(content)
    np.testing.assert_array_equal(again if len(shape) == 3 else again[:, :, 0], pixels)
    assert content[25] == (2 if len(shape) == 3 else 0)  # PNG's colour type: RGB or grey


def test_unit_floats_and_back():
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    x = to_unit(every)
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (0, 1)
    np.testing.assert_array_equal(to_pixels(x), every)
    assert to_pixels(np.array([-3, 0.5, 7], dtype=np.float32)).tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (tiff(bytes(480), bits=16, number=3, n=3, colours=2),
         "a TIFF with 3 samples of 16-bit floating point a pixel"),
        (tiff(bytes(640), bits=64, number=3),
         "a TIFF with 1 sample of 64-bit floating point a pixel"),
        (tiff(bytes(160), bits=16, number=2),
         "a TIFF with 1 sample of 16-bit signed integers a pixel"),
        (tiff(bytes(320), bits=32), "a TIFF with 1 sample of 32-bit integers a pixel"),
        (tiff(bytes(320), bits=16, n=2), "a TIFF with 2 samples of 16-bit integers a pixel"),
        (tiff(bytes(80), colours=32803),
         "a TIFF with 1 sample of 8-bit integers a pixel, colours as a colour filter array"),
        (tiff(bytes(80), compression=34887),
         "a TIFF with 1 sample of 8-bit integers a pixel, compression LERC"),
    ],
    ids=["half", "double", "signed", "32-bit", "grey and alpha", "raw", "lerc"],
)  # fmt: skip
def test_a_valid_tiff_that_is_not_read_is_named_for_what_it_is(content, what):
    with refused(f"{PATH}: is {what}{UNREAD}"):
        decode_image(content, PATH)


@pytest.mark.parametrize(
    ("marker", "bits", "what"),
    [
        (0xC0, 12, "a JPEG of 12 bits"),
        (0xC3, 8, "a lossless JPEG of 8 bits"),
        (0xC5, 8, "a hierarchical JPEG"),
        (0xF7, 8, "a JPEG-LS file"),
    ],
)
def test_a_jpeg_of_another_kind_is_named_for_what_it_is(picture, marker, bits, what):
    content = bytearray(encode(picture, "JPEG"))
    frame = content.index(b"\xff\xc0")
    content[frame + 1], content[frame + 4] = marker, bits
    with refused(f"{PATH}: is {what}{UNREAD}"):
        decode_image(bytes(content), PATH)


def test_a_damaged_tiff_is_not_taken_for_an_unusual_one():
    whole = tiff(bytes(640), bits=64, number=3)
    with refused(f"{PATH}: cannot be decoded as TIFF: its header is damaged"):
        decode_image(whole[:100], PATH)
    with refused(f"{PATH}: cannot be decoded as TIFF: its compressed data are damaged"):
        decode_image(tiff(b"\xff" * 80, compression=5), PATH)


@pytest.mark.parametrize(
    ("bits", "is_inverted"), [(8, False), (8, True), (12, False), (16, False), (16, True)]
)
def test_deep_grey_tiffs_keep_black_and_white(bits, is_inverted):
    """A ramp has the same grey levels with any depth, also where 0 is white."""
    largest = (1 << bits) - 1
    levels = [round(level * largest / 19) for level in range(20)] * 4
    stored = [largest - level for level in levels] if is_inverted else levels
    if bits == 12:
        samples = bytes.fromhex("".join(f"{level:03x}" for level in stored))
    else:
        samples = np.array(stored, f"<u{bits // 8}").tobytes()
    pixels = decode(tiff(samples, bits=bits, colours=0 if is_inverted else 1))
    expected = np.rint(np.array(levels) / largest * 255).reshape(4, 20)
    np.testing.assert_array_equal(pixels, np.repeat(expected[:, :, None], 3, axis=2))
