"""Finding images: their names, what is passed over, what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rsparse.store.images import ImageFile, find_images, image_name
from tests.refusals import refused


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
         "cat/2.png", "cat/10.png", "cat/deep/er/1.Png")  # fmt: skip
    found = find_images([tmp_path])
    assert [image.name for image in found] == [
        "a", "b", "c", "cat/10", "cat/2", "cat/deep/er/1", "d", "e", "f", "z",
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
    fill(tmp_path, "b.png", "cat/a.jpg", ".hidden.png", "noext")
    files = [tmp_path / file for file in ("b.png", "cat/a.jpg", ".hidden.png", "noext")]
    assert names(*files) == [".hidden", "a", "b", "noext"]


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


def test_a_missing_input_is_refused(tmp_path):
    with refused(f"{tmp_path / 'gone'}: no such file or folder"):
        find_images([tmp_path / "gone"])
    fill(tmp_path, "file")
    with refused(f"{tmp_path / 'file/below'}: no such file or folder"):
        find_images([tmp_path / "file/below"])


def test_a_name_that_no_system_takes_is_refused(tmp_path):
    path = tmp_path / ("x" * 300)
    with refused(f"{path}: cannot be read: file name too long"):
        find_images([path])


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with refused(f"{tmp_path}/\\xff.png: its name is not valid UTF-8; rename it"):
        find_images([tmp_path])


def test_a_folder_without_images_is_refused(tmp_path):
    fill(tmp_path, "notes.txt", ".hidden.png")
    with refused(f"{tmp_path}: contains no images (.bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp)"):
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
