"""Damaged image files: damage that affects no pixels is ignored, any other is an error."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest

from rsparse.errors import InputError
from rsparse.store.images import decode_image
from tests.conftest import make_picture
from tests.image_files import PATH, SUFFIXES, decode, encode, png, png_chunk


@pytest.fixture(autouse=True)
def silent(capfd):
    """Nothing is written to stderr, not even by C libraries."""
    yield
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return make_picture(1, 13, 17)


def test_broken_exif_and_broken_colour_profiles_are_passed_over(picture):
    for options in ({"exif": b"Exif\0\0garbage"}, {"icc_profile": b"no profile at all"}):
        np.testing.assert_array_equal(decode(encode(picture, "PNG", **options)), picture)
        assert decode(encode(picture, "JPEG", **options)).shape == picture.shape
    for profile in (zlib.compress(b"not a profile"), b"not compressed"):
        chunk = png_chunk(b"iCCP", b"x\0\0" + profile)
        assert decode(png(1, 1, b"\0abc", chunks=chunk)).tolist() == [[[97, 98, 99]]]


def test_metadata_does_not_cost_the_pixels(picture):
    """Text and profiles of any size, truncated or damaged, before or after the pixels."""
    content = encode(picture)
    begin, end = 33, content.index(b"IEND") - 4
    huge = zlib.compress(b"x" * 2_000_000)
    chunks = {
        "text": png_chunk(b"zTXt", b"key\0\0" + huge),
        "unicode": png_chunk(b"iTXt", b"key\0\1\0\0\0" + huge),
        "profile": png_chunk(b"iCCP", b"key\0\0" + huge),
        "checksum": png_chunk(b"tEXt", b"key\0words")[:-1] + b"?",
        "size": png_chunk(b"pHYs", b""),
    }
    for chunk in chunks.values():
        for place in (begin, end):
            np.testing.assert_array_equal(
                decode(content[:place] + chunk + content[place:]), picture
            )
    np.testing.assert_array_equal(decode(content[:end]), picture)
    np.testing.assert_array_equal(decode(content[:end] + chunks["text"][:100]), picture)
    webp = encode(picture, "WEBP", xmp=b"x" * 1000)
    np.testing.assert_array_equal(decode(webp[:-500]), picture)


@pytest.mark.parametrize(
    "damage", [b"\xff\xe1\0\x20Exif\0\0", b"\xff\xe2\0\x20MPF\0", b"\xff\xed\0\x20"]
)
def test_damaged_segments_of_a_jpeg_are_passed_over(picture, damage):
    content = encode(picture, "JPEG")
    segment = damage + b"\xff" * (34 - len(damage))
    np.testing.assert_array_equal(decode(content[:2] + segment + content[2:]), decode(content))


@pytest.mark.parametrize("options", [
    {}, {"progressive": True}, {"subsampling": 2, "restart_marker_rows": 1},
    {"progressive": True, "subsampling": 2}, {"restart_marker_blocks": 3},
])  # fmt: skip
def test_a_jpeg_may_lack_its_end_marker_but_no_pixels(options):
    content = encode(make_picture(0, 41, 60), "JPEG", **options)
    for cut in (1, 2):
        np.testing.assert_array_equal(decode(content[:-cut]), decode(content))
    for cut in range(3, len(content) - 700, 171):
        with pytest.raises(InputError, match="cannot be decoded as JPEG: image file is truncated"):
            decode(content[:-cut])


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("kind", SUFFIXES)
def test_a_truncated_file_is_refused(kind, share):
    content = encode(make_picture(0, 60, 70), kind)
    with pytest.raises(InputError, match=rf"\A{PATH}: cannot be decoded(: | as \w+: )"):
        decode_image(content[: int(share * len(content))], PATH)


@pytest.mark.parametrize("kind", SUFFIXES)
def test_mutated_files_are_decoded_or_refused_and_nothing_else(kind):
    rng = random.Random(f"rsparse {kind}")
    valid = [
        encode(make_picture(2, 12, 15), kind),
        encode(np.ascontiguousarray(make_picture(2, 12, 15)[:, :, 0]), kind),
    ]
    if kind == "TIFF":
        valid += [encode(make_picture(2, 12, 15), kind, compression=name)
                  for name in ("tiff_lzw", "jpeg", "tiff_adobe_deflate")]  # fmt: skip
    messages = []
    for turn in range(60 * len(valid) if kind == "TIFF" else 150):
        content = bytearray(valid[turn % len(valid)])
        for _ in range(rng.choice((1, 1, 2, 8))):
            place = rng.randrange(len(content)) if rng.random() < 0.6 else rng.randrange(40)
            place = min(place, len(content) - 1)
            match rng.randrange(4):
                case 0:
                    content[place] = rng.randrange(256)
                case 1:
                    content[place] ^= 1 << rng.randrange(8)
                case 2:
                    del content[place : place + rng.randrange(1, 9)]
                case 3:
                    content[place:place] = rng.randbytes(rng.randrange(1, 9))
            if not content:
                break
        try:
            decode(bytes(content))
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 5
    assert all(text.startswith(f"{PATH}: ") and "\n" not in text for text in messages)
