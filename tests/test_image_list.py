"""A long list of images: it behaves like a plain list but uses little memory."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import pytest

from rsparse.store.image_list import Folder, ImageList, sorted_by_name
from rsparse.store.images import ImageFile
from rsparse.store.inputs import load_inputs
from tests.refusals import refused

ROOT = Path("imgs")
ONE = Path("one.jpg")


@pytest.fixture
def images() -> ImageList:
    made = ImageList()
    made.folders += [Folder(ROOT, ""), Folder(ROOT, "café/"), Folder(ONE, None)]
    for place, file in ((0, "b.png"), (1, "ü.JPEG"), (2, ""), (0, "a.png"), (1, "x")):
        made.add(place, file.encode())
    return made


def test_it_is_a_sequence_of_images(images):
    expected = [
        ImageFile("b", ROOT / "b.png", ROOT),
        ImageFile("café/ü", ROOT / "café/ü.JPEG", ROOT),
        ImageFile("one", ONE, ONE),
        ImageFile("a", ROOT / "a.png", ROOT),
        ImageFile("café/x", ROOT / "café/x", ROOT),
    ]
    assert images == expected
    assert list(images.names()) == [image.name for image in expected]
    assert images[-1] == expected[-1]
    assert images[1:4] == expected[1:4]
    assert images[::-2] == expected[::-2]
    with pytest.raises(IndexError):
        images[5]
    assert sorted_by_name(images) == sorted(expected, key=lambda image: image.name)


def test_equal_names_are_told(images):
    images.add(0, b"b.jpg")
    with refused(
        "imgs/b.jpg and imgs/b.png would both be named 'b'; "
        "rename one or put them in different subfolders"
    ):
        sorted_by_name(images)


def test_a_slice_is_pickled_with_its_own_folders_only(images):
    part = pickle.loads(pickle.dumps(images[3:]))
    assert part == images[3:]
    assert part.folders == images.folders[:2]
    assert len(pickle.dumps(images[:1])) < len(pickle.dumps(images))


def test_digests_stay_with_their_images(images):
    images.set_digest(1, "0f" * 32)
    images.set_digest(4, "no digest")
    expected = {"café/ü": "0f" * 32, "café/x": "00" * 32}
    for some in (images, sorted_by_name(images), pickle.loads(pickle.dumps(images[1:]))):
        found = {image.name: image.sha256 for image in some if image.sha256 is not None}
        assert found == expected


def test_the_inputs_of_a_run_take_little_memory_for_each_image(tmp_path):
    """The limit includes 10 bytes for the file name."""
    for number in range(2000):
        (tmp_path / f"{number:06d}.png").touch()
    tracemalloc.start()
    inputs = load_inputs([tmp_path])
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(inputs.images) == 2000
    assert taken / 2000 < 50
