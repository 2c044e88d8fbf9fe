"""What is done with each image of a run, and where: on the cores, or beside a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from rsparse.errors import InputError, attempt, for_usable
from rsparse.store.images import ImageFile
from rsparse.store.journal import Entry
from rsparse.work.beside_device import overlapped, prefetched
from rsparse.work.device import CPU, Device
from rsparse.work.workers import Workers, chunked

TOGETHER = 32
"""Images that a device works on at a time, where nothing else is said."""

Ready = TypeVar("Ready")
Made = TypeVar("Made")


class ImageStep(ABC, Generic[Ready, Made]):
    """What is done with an image, in three parts.

    On the cores an image takes them one after the other, in any process. Beside a device the cores
    load and save, while the device works on batches. An image that cannot be used, for which one
    of the parts raises or gives an ``InputError``, becomes an entry with ``error``; the others go
    on. A step can be pickled.

    Attributes
    ----------
    loads_in_processes : bool
        Whether, beside a device, processes load images, or threads, which send nothing about.
        ``save`` is then quick.
    """

    loads_in_processes: bool = False

    @property
    def device(self) -> Device:
        """What works on the images; where it takes none, the cores do."""
        return CPU

    @abstractmethod
    def load(self, image: ImageFile) -> Ready:
        """Make an image ready."""

    def loader(self) -> Callable[[ImageFile], Ready]:
        """``load`` for processes that do nothing else; it may be smaller to send than the step."""
        return self.load

    @abstractmethod
    def work(self, batch: Sequence[Ready]) -> Sequence[Made | InputError]:
        """What is made of some images, of one on the cores."""

    @abstractmethod
    def save(self, made: Made) -> Entry:
        """Write what was made, and return the image's entry.

        It holds ``source_sha256``.
        """


@dataclass(frozen=True)
class OneByOne(ImageStep[Entry, Entry]):
    """A step of one part, a function of an image."""

    function: Callable[[ImageFile], Entry]

    def load(self, image: ImageFile) -> Entry:
        return self.function(image)

    def work(self, batch: Sequence[Entry]) -> Sequence[Entry]:
        return batch

    def save(self, made: Entry) -> Entry:
        return made


def entries_of(
    step: ImageStep[Any, Any],
    images: Sequence[ImageFile],
    workers: Workers,
    *,
    parallel_from: int,
    shared_paths: Sequence[Path],
    batch_size: int,
    together: int,
) -> Iterator[list[Entry]]:
    """The entries of images, some at a time and in order; see ``run_images``."""

    def parallel_map(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        n = len(images)
        return workers.map(
            function, items, n, parallel_from=parallel_from, shared_paths=shared_paths
        )

    if not step.device.takes_images:
        return parallel_map(_OnCores(step), chunked(images, batch_size))
    rest = _Rest(step)
    if step.loads_in_processes:
        load, parts = _Loading(step.loader()), chunked(images, batch_size)
        return prefetched(load, rest.entries, parts, together, parallel_map)
    threads = workers.cores(len(images), parallel_from=0)
    batches = chunked(images, together)
    return overlapped(_Loading(step.load).one, rest.work, rest.save, batches, threads)


class _Held(NamedTuple):
    """An image, and what has become of it so far; an ``InputError`` where it is unusable."""

    image: ImageFile
    found: Any


@dataclass(frozen=True)
class _OnCores:
    """All of a step, image by image."""

    step: ImageStep[Any, Any]

    def __call__(self, images: Sequence[ImageFile]) -> list[Entry]:
        load, rest = _Loading(self.step.load), _Rest(self.step)
        return [entry for image in images for entry in rest.entries([load.one(image)])]


@dataclass(frozen=True)
class _Loading:
    """Makes images ready."""

    load: Callable[[ImageFile], Any]

    def __call__(self, images: Sequence[ImageFile]) -> list[_Held]:
        return [self.one(image) for image in images]

    def one(self, image: ImageFile) -> _Held:
        return _Held(image, attempt(self.load, image))


@dataclass(frozen=True)
class _Rest:
    """What is left of a step when images are ready."""

    step: ImageStep[Any, Any]

    def entries(self, batch: Sequence[_Held]) -> list[Entry]:
        return [self.save(held) for held in self.work(batch)]

    def work(self, batch: Sequence[_Held]) -> list[_Held]:
        made = for_usable(self.step.work, [held.found for held in batch])
        return [_Held(held.image, found) for held, found in zip(batch, made, strict=True)]

    def save(self, held: _Held) -> Entry:
        found = held.found
        entry = found if isinstance(found, InputError) else attempt(self.step.save, found)
        return failure(held.image, entry) if isinstance(entry, InputError) else entry


def failure(image: ImageFile, error: InputError) -> Entry:
    """The entry of an image that could not be used; the message names its file.

    ``path`` is for people: a manifest leaves it out.
    """
    message = str(error)
    if not message.startswith(str(image.path)):
        message = f"{image.path}: {message}"
    return {"name": image.name, "path": str(image.path), "error": message}
