"""The steps of a run over images, on CPU cores or with a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from rsparse.errors import InputError, TooLargeError, attempt, for_usable
from rsparse.store.images import ImageFile
from rsparse.store.journal import Entry
from rsparse.work.beside_device import overlapped, prefetched
from rsparse.work.device import CPU, Device
from rsparse.work.workers import Gathered, Workers, chunked

DEVICE_BATCH_SIZE = 32
"""Images that a device works on at a time, by default."""

_LOADED_TOGETHER = 4  # images that a process loads at a time

Loaded = TypeVar("Loaded")
Output = TypeVar("Output")


class ImageStep(ABC, Generic[Loaded, Output]):
    """Processes an image in three parts: load, work, save.

    On CPU cores, each image passes through the three parts in one thread, and several threads do
    so at the same time. With a device, the cores load and save while the device works on batches.
    If a part raises or returns an ``InputError``, the image becomes an entry with ``error`` and
    the run continues. A step can be pickled.

    Attributes
    ----------
    loads_in_processes : bool
        Whether processes load the images for a device; if not, threads do, which need not send
        data between processes. Use processes only if ``save`` is fast.
    """

    loads_in_processes: bool = False

    @property
    def device(self) -> Device:
        """The device that works on the images; if it takes no images, CPU cores do."""
        return CPU

    @abstractmethod
    def load(self, image: ImageFile) -> Loaded:
        """Read and prepare an image."""

    def loader(self) -> Callable[[ImageFile], Loaded]:
        """``load`` for processes that only load; its pickle may be smaller than the step's."""
        return self.load

    @abstractmethod
    def work(self, batch: Sequence[Loaded]) -> Sequence[Output | InputError]:
        """Process a batch of loaded images; on CPU cores, a batch is one image."""

    @abstractmethod
    def save(self, output: Output) -> Entry:
        """Write the output and return the image's entry, which contains ``source_sha256``."""


@dataclass(frozen=True)
class OneByOne(ImageStep[Entry, Entry]):
    """A step with a single part: a function of one image."""

    function: Callable[[ImageFile], Entry]

    def load(self, image: ImageFile) -> Entry:
        return self.function(image)

    def work(self, batch: Sequence[Entry]) -> Sequence[Entry]:
        return batch

    def save(self, output: Entry) -> Entry:
        return output


def entries_of(
    step: ImageStep[Any, Any],
    images: Sequence[ImageFile],
    workers: Workers,
    *,
    gather: Callable[[list[Entry]], Gathered],
    shared_paths: Sequence[Path],
    batch_size: int,
) -> Iterator[Gathered]:
    """What ``gather`` makes of entries, some images at a time, in any order; see ``run_images``.

    On CPU cores, ``gather`` runs where the step does.
    """
    if not step.device.takes_images:
        return workers.map_groups(_WholeStep(step), images, gather, shared_paths)
    rest = _WorkAndSave(step)
    if step.loads_in_processes:

        def parallel_map(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
            n = -(-len(images) // _LOADED_TOGETHER)
            return workers.map(function, items, n, in_processes=True, shared_paths=shared_paths)

        load, parts = _LoadImages(step.loader()), chunked(images, _LOADED_TOGETHER)
        return map(gather, prefetched(load, rest.entries, parts, batch_size, parallel_map))
    batches = chunked(images, batch_size)
    threads = workers.cores(len(images))
    load_one = _LoadImages(step.load).one
    return map(gather, overlapped(load_one, rest.work, rest.save, batches, threads))


class _Intermediate(NamedTuple):
    """An image and its latest intermediate value: an ``InputError`` if a part has failed."""

    image: ImageFile
    value: Any


@dataclass(frozen=True)
class _WholeStep:
    """Runs all three parts of a step on an image."""

    step: ImageStep[Any, Any]

    def __call__(self, image: ImageFile) -> Entry:
        (entry,) = _WorkAndSave(self.step).entries([_LoadImages(self.step.load).one(image)])
        return entry


@dataclass(frozen=True)
class _LoadImages:
    """Runs the first part of a step."""

    load: Callable[[ImageFile], Any]

    def __call__(self, images: Sequence[ImageFile]) -> list[_Intermediate]:
        return [self.one(image) for image in images]

    def one(self, image: ImageFile) -> _Intermediate:
        return _Intermediate(image, attempt(self.load, image))


@dataclass(frozen=True)
class _WorkAndSave:
    """Runs the second and third part of a step."""

    step: ImageStep[Any, Any]

    def entries(self, batch: Sequence[_Intermediate]) -> list[Entry]:
        return [self.save(item) for item in self.work(batch)]

    def work(self, batch: Sequence[_Intermediate]) -> list[_Intermediate]:
        outputs = for_usable(self.step.work, [item.value for item in batch])
        pairs = zip(batch, outputs, strict=True)
        return [_Intermediate(item.image, output) for item, output in pairs]

    def save(self, item: _Intermediate) -> Entry:
        value = item.value
        entry = value if isinstance(value, InputError) else attempt(self.step.save, value)
        return failure(item.image, entry) if isinstance(entry, InputError) else entry


def failure(image: ImageFile, error: InputError) -> Entry:
    """The entry of an image that could not be used; the message names its file.

    ``path`` is only for messages; a manifest omits it. ``run_images`` tries an image with
    ``out_of_memory`` again.
    """
    message = str(error)
    if not message.startswith(str(image.path)):
        message = f"{image.path}: {message}"
    entry = {"name": image.name, "path": str(image.path), "error": message}
    return {**entry, "out_of_memory": True} if isinstance(error, TooLargeError) else entry
