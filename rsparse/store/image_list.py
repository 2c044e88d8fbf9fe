"""A long list of images in little memory: file names in one block of bytes, folders only once."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, overload

from rsparse.errors import InputError
from rsparse.store.images import ImageFile, image_name

_DIGEST = 33  # bytes: whether there is one, and the SHA-256
_HEX = re.compile(r"[0-9a-f]{64}")


class Folder(NamedTuple):
    """A folder of images: the input it belongs to, and its path below that, ending in ``/``.

    An input that is a file is its own folder; ``below`` is None.
    """

    root: Path
    below: str | None

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.root.parent if self.below is None else self.root / self.below

    def image(self, file: str) -> ImageFile:
        """The image in a file of this folder."""
        path = self.root if self.below is None else self.path / file
        return ImageFile(self.name(file), path, self.root)

    def name(self, file: str) -> str:
        """The name of the image in a file of this folder."""
        return self.root.stem if self.below is None else self.below + image_name(file)


class ImageList(Sequence[ImageFile]):
    """Images in any order; each is made when it is asked for.

    An image takes the bytes of its file's name and 12 more, and 32 if its digest is set. A slice is
    a list of its own, which is small when it is pickled.

    Attributes
    ----------
    folders : list of Folder
    places : array of int
        For each image, the index of its folder.
    """

    def __init__(self) -> None:
        self.folders: list[Folder] = []
        self.places = array("L" if array("L").itemsize == 4 else "I")
        self._files = bytearray()
        self._ends = array("Q")
        self._digests = bytearray()  # _DIGEST bytes for each image, or none at all

    def add(self, place: int, file: bytes) -> None:
        """Add the file of a folder, which is given by its index."""
        self.places.append(place)
        self._files += file
        self._ends.append(len(self._files))

    def set_digest(self, number: int, sha256: str) -> None:
        """Set the digest that a manifest lists for an image; text that is none matches no file."""
        if not self._digests:
            self._digests = bytearray(_DIGEST * len(self))
        content = bytes.fromhex(sha256) if _HEX.fullmatch(sha256) else bytes(_DIGEST - 1)
        self._digests[_DIGEST * number : _DIGEST * (number + 1)] = b"\1" + content

    def _digest(self, number: int) -> bytes:
        return bytes(self._digests[_DIGEST * number : _DIGEST * (number + 1)])

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> ImageFile: ...
    @overload
    def __getitem__(self, index: slice) -> ImageList: ...
    def __getitem__(self, index: int | slice) -> ImageFile | ImageList:
        if isinstance(index, slice):
            return self.chosen(range(*index.indices(len(self))))
        number = range(len(self))[index]
        image = self.folders[self.places[number]].image(self.file(number).decode())
        digest = self._digest(number)
        return replace(image, sha256=digest[1:].hex()) if any(digest) else image

    def __iter__(self) -> Iterator[ImageFile]:
        return (self[number] for number in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def file(self, number: int) -> bytes:
        """The name of an image's file in its folder."""
        start = self._ends[number - 1] if number else 0
        return bytes(self._files[start : self._ends[number]])

    def names(self) -> Iterator[str]:
        """The images' names."""
        start = 0
        for place, end in zip(self.places, self._ends, strict=True):
            yield self.folders[place].name(self._files[start:end].decode())
            start = end

    def chosen(self, numbers: Sequence[int]) -> ImageList:
        """The images with these numbers, in this order."""
        made, new_places = ImageList(), dict[int, int]()
        for number in numbers:
            place = self.places[number]
            if place not in new_places:
                new_places[place] = len(made.folders)
                made.folders.append(self.folders[place])
            made.add(new_places[place], self.file(number))
            made._digests += self._digest(number)
        return made


def sorted_by_name(images: ImageList) -> ImageList:
    """The images in the order of their names.

    Raises
    ------
    InputError
        If two have the same name.
    """
    if all(one < other for one, other in pairwise(images.names())):
        return images
    names = list(images.names())
    order = sorted(range(len(names)), key=names.__getitem__)
    for first, second in pairwise(order):
        if names[first] == names[second]:
            one, other = sorted((first, second))
            raise _same_name(images[one].path, images[other].path, names[one])
    return images.chosen(order)


def _same_name(one: Path, other: Path, name: str) -> InputError:
    """The error for two images of one name, which may be one file."""
    if one == other:
        return InputError(f"{one}: is given twice; give it once")
    try:
        is_one_file = one.samefile(other)
    except OSError:
        is_one_file = False
    if is_one_file:
        return InputError(f"{other} and {one} are the same file; give or keep only one of them")
    return InputError(
        f"{other} and {one} would both be named {name!r}; "
        "rename one or put them in different subfolders"
    )
