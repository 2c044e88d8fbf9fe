"""Unusable input: one exact line on stderr, exit code 2, no partial output."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from rsparse.store.file_kinds import SUFFIXES
from rsparse.store.folders import MANIFEST
from rsparse.store.images import encode_png
from tests.conftest import make_picture, tree_of
from tests.image_files import bomb, encode

SHOWN_SUFFIXES = ", ".join(sorted(SUFFIXES))
COMMANDS = ("learn-dict", "localize", "purify")


@pytest.fixture(params=COMMANDS)
def refuse(request, assert_error, tmp_path, dict_file):
    """Run a command on unusable input; nothing in ``tmp_path`` may change."""

    def check(line: str, *inputs: object, options: tuple = ()) -> None:
        extra = {"purify": ("--dict", dict_file), "learn-dict": ("--patch-size", 4)}
        name = "out.h5" if request.param == "learn-dict" else "out"
        output = () if "-o" in options else ("-o", tmp_path / "deep" / name)
        before = set(tmp_path.rglob("*")) - {tmp_path / "deep"}, tree_of(tmp_path)
        arguments = (*inputs, *extra.get(request.param, ()), *output, *options)
        assert_error(line, request.param, *arguments)
        assert (set(tmp_path.rglob("*")) - {tmp_path / "deep"}, tree_of(tmp_path)) == before

    check.command = request.param
    return check


def place(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_missing_folder(refuse, tmp_path):
    refuse(f"{tmp_path / 'gone'}: no such file or folder", tmp_path / "gone")


def test_a_folder_without_images(refuse, tmp_path):
    place(tmp_path / "imgs", "notes.txt", b"x")
    refuse(f"{tmp_path / 'imgs'}: contains no images ({SHOWN_SUFFIXES})", tmp_path / "imgs")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.png", encode_png(make_picture(0))[:2000],
         "cannot be decoded: image file is truncated"),
        ("cut.jpg", encode(make_picture(0), "JPEG")[:1500],
         "cannot be decoded: image file is truncated (4 bytes not processed)"),
        ("text.png", b"these are words", "is not a PNG, JPEG, WebP, TIFF or BMP image"),
        ("empty.png", b"", "is an empty file"),
        ("bomb.png", bomb(), "has more than 100 million pixels or a side of more than 65,535; "
         "shrink it first"),
        ("float.tif", encode(np.zeros((9, 9), np.float32), "TIFF"),
         "is a TIFF with 1 sample of 32-bit floating point a pixel, which is not read; save it as "
         "PNG of 8 or 16 bits"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 12 else "",
)  # fmt: skip
@pytest.mark.parametrize("alone", [True, False])
def test_a_file_that_is_no_usable_image(refuse, tmp_path, name, content, message, alone):
    if name == "cut.jpg":
        message = message.replace("4 bytes", f"{_unread(content)} bytes")
    path = place(tmp_path / "imgs", name, content)
    if alone:
        refuse(f"{path}: {message}", path)
    else:
        place(tmp_path / "imgs", "z.png", b"")
        place(tmp_path / "imgs", "zz.png", b"")
        refuse(f"{path}: {message} (and 2 more failed)", tmp_path / "imgs")


def _unread(content: bytes) -> int:
    """The byte count in Pillow's error on a truncated JPEG, which depends on where it was cut."""
    import io
    import re

    from PIL import Image

    with pytest.raises(OSError, match="truncated") as caught:
        Image.open(io.BytesIO(content)).load()
    return int(re.search(r"\((\d+) bytes", str(caught.value))[1])


def test_an_image_smaller_than_a_patch(refuse, tmp_path):
    path = place(tmp_path / "imgs", "a.png", encode_png(make_picture(0, 3, 9)))
    if refuse.command != "localize":  # it uses no patches
        refuse(f"{path}: is 9×3 pixels, smaller than a patch of 4×4", tmp_path / "imgs")


def test_an_unreadable_file(refuse, tmp_path):
    (tmp_path / "imgs").mkdir()
    (tmp_path / "imgs/a.png").symlink_to(tmp_path / "gone")
    path = tmp_path / "imgs/a.png"
    refuse(f"{path}: cannot be read: no such file or directory", tmp_path / "imgs")
    refuse(f"{path}: no such file or folder", path)
    path.unlink()
    os.mkfifo(path)
    refuse(f"{path}: is not a regular file", tmp_path / "imgs")
    path.unlink()
    path.mkdir()
    refuse(f"{tmp_path / 'imgs'}: contains no images ({SHOWN_SUFFIXES})", tmp_path / "imgs")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission(refuse, pictures):
    (pictures / "a.png").chmod(0)
    path = pictures / "a.png"
    refuse(f"{path}: cannot be read: permission denied", path)


def test_two_inputs_of_one_name(refuse, pictures):
    place(pictures, "a.jpg", encode(make_picture(0), "JPEG"))
    refuse(
        f"{pictures / 'a.png'} and {pictures / 'a.jpg'} would both be named 'a'; "
        "rename one or put them in different subfolders",
        pictures,
    )


def test_a_name_with_a_line_break_stays_on_the_line(refuse, tmp_path):
    path = place(tmp_path / "imgs", "[red]\n  \x1b[31m.png", b"")
    shown = rf"{tmp_path}/imgs/[red]\n  \x1b[31m.png"
    refuse(f"{shown}: is an empty file", path)


def test_an_unfinished_folder_as_input(refuse, pictures):
    place(pictures, ".rsparse-journal.jsonl", b"{}\n")
    refuse(
        f"{pictures}: is unfinished because its run was interrupted; "
        "run the same command again to finish it",
        pictures,
    )


def test_a_damaged_manifest_beside_the_images(refuse, pictures):
    place(
        pictures, MANIFEST, json.dumps({"format": "rsparse-images", "format_version": 7}).encode()
    )
    refuse(
        f"{pictures / MANIFEST}: rsparse-images version 7 is newer than this rsparse reads (2); "
        "upgrade rsparse",
        pictures,
    )


def test_an_output_that_is_taken_or_impossible(refuse, pictures, tmp_path):
    taken = place(tmp_path / "other.h5", "mine.h5", b"x")
    below = taken / "out.h5"
    if refuse.command == "learn-dict":
        refuse(f"{taken}: exists; choose another output or pass --overwrite", pictures,
               options=("-o", taken))  # fmt: skip
        refuse(f"{below}: cannot be written: mine.h5 is not a folder", pictures,
               options=("-o", below))  # fmt: skip
        refuse(f"{taken.parent}: is a folder; name a file", pictures,
               options=("-o", taken.parent, "--overwrite"))  # fmt: skip
    else:
        for overwrite in ((), ("--overwrite",)):
            refuse(f"{taken}: is a file; name a folder", pictures,
                   options=("-o", taken, *overwrite))  # fmt: skip
            refuse(f"{below}: cannot be written: not a directory", pictures,
                   options=("-o", below, *overwrite))  # fmt: skip
            refuse(f"{taken.parent}: contains other files; choose an empty or new folder", pictures,
                   options=("-o", taken.parent, *overwrite))  # fmt: skip


def test_a_dictionary_or_a_preview_of_another_suffix(assert_error, pictures, tmp_path):
    for output, preview, expected in (
        ("d.txt", "d.png", ".h5 or .hdf5"),
        ("d.h5", "d.txt", ".png"),
    ):
        (tmp_path / "d.txt").touch()  # its suffix is named first
        assert_error(
            f"{tmp_path / 'd.txt'}: expected a file ending in {expected}",
            "learn-dict", pictures, "-o", tmp_path / output, "--preview", tmp_path / preview,
        )  # fmt: skip


def test_an_output_where_nothing_can_be_made(refuse, pictures):
    """Not even root can write there."""
    output = Path("/proc/rsparse/out")
    if not Path("/proc/self").exists() or refuse.command == "learn-dict":
        return  # learn-dict fails only when it writes
    refuse(f"{output}: cannot be written: no such file or directory", pictures,
           options=("-o", output))  # fmt: skip


def test_outputs_that_overlap_the_input(refuse, pictures, tmp_path):
    if refuse.command == "learn-dict":
        path = pictures / "a.png"
        refuse(f"{path}: is also an input; choose another output", pictures,
               options=("--preview", path, "--overwrite"))  # fmt: skip
        return
    for output, message in (
        (pictures, "is the input itself"),
        (pictures / "sub", f"is inside the input {pictures}"),
        (pictures / "new/out", f"is inside the input {pictures}"),
        (tmp_path, f"contains the input {pictures}"),
    ):
        refuse(f"{output}: {message}; choose another output", pictures,
               options=("-o", output, "--overwrite"))  # fmt: skip


def test_too_few_patches(assert_error, pictures, tmp_path):
    assert_error(
        "only 81 usable patches for 256 atoms; "
        "use more images, more patches per image, or fewer atoms",
        "learn-dict", pictures, "--patches-per-image", 30, "-o", tmp_path / "dict.h5",
    )  # fmt: skip
    assert not (tmp_path / "dict.h5").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sparsity", 0), "sparsity: expected a whole number from 1 to 1024, got 0"),
        (("--stride", 65), "stride: expected a whole number from 1 to 64, got 65"),
        (("--feather", -1), "feather: expected a number from 0 to 256, got -1.0"),
        (("--feather", "nan"), "feather: expected a number from 0 to 256, got nan"),
        (("--keep-contours", "some"), "keep-contours: expected one of largest, all, got 'some'"),
        (("--bilateral-sigma-color", 0),
         "bilateral-sigma-color: expected a number above 0 up to 1000, got 0.0"),
        (("--sparsity", 2, "--masks", "gone"), "gone: no such file or folder"),
        (("--sparsity", 2, "--masks", "gone", "--no-localize"),
         "--masks: regionsparse-sparsity=2-localize=false has no object region; give --sparsity K "
         "without --no-localize, or a defense that contains regionsparse without localize=no"),
    ],
)  # fmt: skip
def test_options_of_purify_out_of_range(assert_error, pictures, dict_file, options, message):
    assert_error(message, "purify", pictures, "--dict", dict_file, *options)
    assert not pictures.with_name("imgs-purified").exists()


def test_masks_that_are_missing_or_of_another_size(assert_error, pictures, dict_file, tmp_path):
    masks = place(tmp_path / "masks", "z.png", encode_png(make_picture(0))).parent
    options = ("--sparsity", 2, "--dict", dict_file, "--masks", masks)
    arguments = ("purify", pictures / "a.png", *options)
    assert_error(f"{pictures / 'a.png'}: has no mask named 'a'", *arguments)
    place(masks, "a.png", encode_png(make_picture(0, 9, 8)))
    assert_error(f"{pictures / 'a.png'}: is 56×48 pixels, but its mask is 8×9", *arguments)
    mask = place(masks, "a.png", b"")
    assert_error(f"{pictures / 'a.png'}: {mask}: is an empty file", *arguments)
    assert not (pictures / "a-purified").exists()


def test_several_inputs_need_an_output(assert_error, pictures, dict_file):
    files = (pictures / "a.png", pictures / "b.png")
    assert_error(
        "several inputs have no default output; name the output with -o",
        "purify",
        *files,
        "--dict",
        dict_file,
    )


def test_show_of_a_folder_that_is_no_artifact(assert_error, pictures):
    assert_error(
        f"{pictures}: is not an rsparse artifact: it has no manifest.json", "show", pictures
    )
