"""Finding images: their names, what is skipped, and what is rejected."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rsparse.errors import InputError
from rsparse.store.file_kinds import SUFFIXES
from rsparse.store.finding import find_images, search_images
from rsparse.store.images import ImageFile, encode_png, image_name
from tests.conftest import make_picture
from tests.image_files import encode
from tests.refusals import refused

PNG = encode_png(np.zeros((2, 2, 3), np.uint8))


def fill(folder: Path, *files: str) -> Path:
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def names(*inputs: Path) -> list[str]:
    return [image.name for image in find_images(inputs)]


def test_all_formats_in_all_subfolders_sorted_by_name(tmp_path):
    fill(tmp_path, "z.png", "a.JPG", "b.jpeg", "c.webp", "d.tif", "e.tiff", "f.BMP",
         "g.jfif", "h.jpe",
         "cat/2.png", "cat/10.png", "cat/deep/er/1.Png")  # fmt: skip
    found = find_images([tmp_path])
    assert [image.name for image in found] == [
        "a", "b", "c", "cat/10", "cat/2", "cat/deep/er/1", "d", "e", "f", "g", "h", "z",
    ]  # fmt: skip
    assert found[0] == ImageFile("a", tmp_path / "a.JPG", tmp_path)
    assert found[0].read() == b"x"


def test_hidden_files_and_folders_and_other_files_are_passed_over(tmp_path):
    fill(tmp_path, "a.png", ".b.png", ".git/c.png", "sub/.d/e.png", "notes.txt", "dict.h5",
         "png", ".png", "manifest.json", "a.png.bak")  # fmt: skip
    (tmp_path / "folder.png").mkdir()
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "name",
    ["Ünïcödé 猫", "[red]a[/red]", ":cat:", "two  spaces", "new\nline", "a.b.c", "-o", "%s {0}",
     "'quoted\"", "back\\slash", "a.png"],
)  # fmt: skip
def test_unusual_names_are_kept(tmp_path, name):
    fill(tmp_path, f"{name}.png", f"sub/{name}.png")
    assert names(tmp_path) == sorted([name, f"sub/{name}"])


def test_single_files_are_named_by_their_stem_whatever_their_suffix(tmp_path):
    fill(tmp_path, "b.png", "cat/a.jpg", ".hidden.png")
    (tmp_path / "noext").write_bytes(PNG)
    files = [tmp_path / file for file in ("b.png", "cat/a.jpg", ".hidden.png", "noext")]
    assert names(*files) == [".hidden", "a", "b", "noext"]


def test_a_single_file_that_is_no_image_is_refused(tmp_path):
    fill(tmp_path, "imgs/a.png")
    for name, content, found in (
        ("plan.toml", b"model = 3", ""),
        ("pred.h5", b"\x89HDF\r\n\x1a\n", ", but an HDF5 file"),
        ("cat.gif", b"GIF89a", ", but GIF; convert it to PNG"),
    ):
        other = tmp_path / name
        other.write_bytes(content)
        with refused(f"{other}: is not a PNG, JPEG, WebP, TIFF or BMP image{found}"):
            names(other)
        assert len(names(tmp_path / "imgs", other)) == 2  # told when it is decoded
    picture = tmp_path / "picture"
    picture.write_bytes(PNG)
    assert names(picture) == ["picture"]


def test_several_inputs_are_joined(tmp_path):
    fill(tmp_path, "one/a.png", "two/b.png", "three.png")
    assert names(tmp_path / "one", tmp_path / "two", tmp_path / "three.png") == ["a", "b", "three"]


def test_links_to_files_are_followed(tmp_path):
    fill(tmp_path, "real/a.png")
    (tmp_path / "imgs").mkdir()
    (tmp_path / "imgs/b.png").symlink_to(tmp_path / "real/a.png")
    assert names(tmp_path / "imgs") == ["b"]
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert names(tmp_path / "link") == ["a"]


@pytest.mark.parametrize(
    ("files", "first", "second", "name"),
    [
        (("a.png", "a.jpg"), "a.png", "a.jpg", "a"),
        (("cat/a.png", "cat/a.PNG"), "cat/a.png", "cat/a.PNG", "cat/a"),
    ],
)
def test_two_files_of_one_name_are_refused(tmp_path, files, first, second, name):
    fill(tmp_path, *files)
    with refused(
        f"{tmp_path / first} and {tmp_path / second} would both be named {name!r}; "
        "rename one or put them in different subfolders"
    ):
        find_images([tmp_path])


def test_two_inputs_with_one_name_are_refused(tmp_path):
    fill(tmp_path, "one/a.png", "two/a.png")
    with refused(
        f"{tmp_path / 'two/a.png'} and {tmp_path / 'one/a.png'} would both be named 'a'; "
        "rename one or put them in different subfolders"
    ):
        find_images([tmp_path / "one", tmp_path / "two"])


def test_an_image_that_is_given_twice_is_refused(tmp_path):
    """Under two names, it would count twice without a word."""
    fill(tmp_path, "one/a.png", "one/sub/b.png", "one/.hidden/c.png")
    (tmp_path / "one/d").write_bytes(PNG)
    one, file = tmp_path / "one", tmp_path / "one/a.png"
    with refused(f"{file}: is given twice; give it once"):
        find_images([file, file])
    (tmp_path / "two").mkdir()
    (tmp_path / "two/a.png").symlink_to(file)
    linked = tmp_path / "two/a.png"
    with refused(f"{linked} and {file} are the same file; give or keep only one of them"):
        find_images([file, linked])
    (tmp_path / "link").symlink_to(one)
    with refused(f"{tmp_path / 'link'}: is the same folder as {one}; give it once"):
        find_images([one, tmp_path / "link"])
    for inner in (file, one / "sub", tmp_path / "link/sub/b.png"):
        with refused(f"{inner}: lies in {one}, which is also given; give only one"):
            find_images([one, inner])
        with refused(f"{inner}: lies in {one}, which is also given; give only one"):
            find_images([inner, one])
    assert names(one, one / ".hidden", one / "d") == ["a", "c", "d", "sub/b"]


def test_a_missing_input_is_refused(tmp_path):
    with refused(f"{tmp_path / 'gone'}: no such file or folder"):
        find_images([tmp_path / "gone"])
    fill(tmp_path, "file")
    with refused(f"{tmp_path / 'file/below'}: no such file or folder"):
        find_images([tmp_path / "file/below"])


def test_a_web_address_and_an_archive_are_told(tmp_path):
    with refused("https:/example.org/a.png: no such file or folder; download it first"):
        find_images([Path("https://example.org/a.png")])
    fill(tmp_path, "imgs.zip", "more.tar.gz")
    suffixes = ", ".join(sorted(SUFFIXES))
    with refused(f"{tmp_path}: contains no images ({suffixes}); unpack imgs.zip first"):
        find_images([tmp_path])


def test_a_name_that_no_system_takes_is_refused(tmp_path):
    path = tmp_path / ("x" * 300)
    with refused(f"{path}: cannot be read: file name too long"):
        find_images([path])


def test_names_that_are_not_utf8_do_not_stop_their_folder(tmp_path):
    fill(tmp_path, "a.png")
    try:
        (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(b"x")
        fill(tmp_path / os.fsdecode(b"\xe9"), "b.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    found = search_images([tmp_path])
    assert [image.name for image in found.images] == ["a"]
    assert found.failed == [
        {"name": name, "path": f"{tmp_path}/{file}",
         "error": f"{tmp_path}/{file}: its name is not valid UTF-8; rename it"}
        for name, file in ((r"\xff.png", r"\xff.png"), (r"\xe9/", r"\xe9"))
    ]  # fmt: skip
    with refused(f"{tmp_path}/\\xff.png: its name is not valid UTF-8; rename it"):
        find_images([tmp_path / os.fsdecode(b"\xff.png")])


def test_folders_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    fill(tmp_path, "a.png", "sub/b.png", "z/c.png")
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "sub":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = search_images([tmp_path])
    assert [image.name for image in found.images] == ["a", "z/c"]
    [entry] = found.failed
    assert entry["name"] == "sub/"
    assert entry["error"] == f"{tmp_path / 'sub'}: cannot be read: permission denied"
    with refused(f"{tmp_path / 'sub'}: cannot be read: permission denied"):
        find_images([tmp_path / "sub"])


def test_links_to_folders_are_followed_but_not_back_up(tmp_path):
    fill(tmp_path, "all/cat/1.png", "all/dog/2.png", "some/bird/3.png")
    some = tmp_path / "some"
    (some / "cat").symlink_to("../all/cat")
    (some / "also").symlink_to("cat")
    (some / "here").symlink_to(".")
    (some / "up").symlink_to("..")
    (some / "bird/top").symlink_to("..")
    assert names(some) == ["also/1", "bird/3", "cat/1"]


def test_links_to_nothing_are_named(tmp_path):
    fill(tmp_path, "a.png")
    (tmp_path / "dog").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "notes.txt").symlink_to("nowhere")
    found = search_images([tmp_path])
    assert [entry["error"] for entry in found.failed] == [
        f"{tmp_path / name}: is a link to something that does not exist" for name in ("dog", "loop")
    ]


def test_very_many_ways_to_a_folder_are_refused(tmp_path):
    folders = [tmp_path / str(number) for number in range(12)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        for way in "abc" if number < 11 else "":
            (folder / way).symlink_to(folders[number + 1])
    with pytest.raises(InputError, match="links lead here in more than 1000 ways"):
        find_images([folders[0]])


def test_what_looks_like_a_picture_is_counted(tmp_path):
    fill(tmp_path, "a.png", "b.heic", "c.txt", "sub/d.SVG", "e.nef")
    (tmp_path / "photo").write_bytes(encode(make_picture(0, 4, 4), "JPEG"))
    (tmp_path / "table.csv").write_text("P1,P2\n")
    passed = search_images([tmp_path]).passed_over
    assert passed.files == [
        ("b.heic", "HEIC"), ("e.nef", "Nikon raw image"), ("photo", "JPEG without its suffix"),
        ("sub/d.SVG", "SVG"),
    ]  # fmt: skip
    assert passed.sentence() == (
        "passed over 4 files that look like pictures: b.heic (HEIC), e.nef (Nikon raw image), "
        "photo (JPEG without its suffix) and 1 more"
    )
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"contains no images \(.*\); passed over 4 files that"):
        find_images([tmp_path])


def test_a_folder_without_images_is_refused(tmp_path):
    fill(tmp_path, "notes.txt", ".hidden.png")
    suffixes = ", ".join(sorted(SUFFIXES))
    with refused(f"{tmp_path}: contains no images ({suffixes})"):
        find_images([tmp_path])


def test_an_unreadable_file_says_so_when_it_is_read(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "gone")
    [image] = find_images([tmp_path])
    with refused(f"{tmp_path / 'a.png'}: cannot be read: no such file or directory"):
        image.read()


@pytest.mark.parametrize(
    ("file", "name"),
    [("a.png", "a"), ("cat/01.JPEG", "cat/01"), ("a.b", "a.b"), ("a", "a"), ("a.tar.png", "a.tar"),
     ("d.png/x", "d.png/x"), (".png", ".png")],
)  # fmt: skip
def test_image_name(file, name):
    assert image_name(file) == name
