"""Run a defense in two parts: the CPU cores prepare each image, a device finishes batches.

``Defense.on(device, resources)`` returns a ``Cleaner``. With a device, many threads or processes
prepare images, and one thread finishes them in batches. An image's pixels do not depend on the
other images of its batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from rsparse.errors import InputError

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels

Item = TypeVar("Item")


class Cleaner(ABC):
    """A defense on a device.

    Both the cleaner and the results of ``prepare`` can be pickled.
    """

    @property
    def uses_device(self) -> bool:
        """Whether ``finish`` has work to do; if not, ``prepare`` returns the clean image."""
        return True

    @abstractmethod
    def prepare(self, image: Pixels, mask: Mask | None = None) -> Any:
        """Do the CPU's part of the work for one image, (h, w, 3) uint8.

        Raises
        ------
        InputError
            If the image is too small or too large for the defense.
        """

    @abstractmethod
    def finish(self, batch: Sequence[Any]) -> Sequence[Pixels | InputError]:
        """Finish a prepared batch: clean images, and an InputError for each image that failed."""


class KeyedImage(NamedTuple):
    """An image prepared by one of several cleaners, and the key of that cleaner."""

    key: Hashable
    prepared: Any


@dataclass(frozen=True)
class SelectingCleaner(Cleaner):
    """Several cleaners, one of which is selected for each image.

    Parameters
    ----------
    cleaners : mapping of hashable to Cleaner
    choose : callable
        Returns the key of the cleaner for an image. It has to be picklable.
    """

    cleaners: Mapping[Any, Cleaner]
    choose: Callable[[Pixels], Hashable]

    def prepare(self, image: Pixels, mask: Mask | None = None) -> KeyedImage:
        key = self.choose(image)
        return KeyedImage(key, self.cleaners[key].prepare(image, mask))

    def finish(self, batch: Sequence[KeyedImage]) -> Sequence[Pixels | InputError]:
        """Let each cleaner finish its own images together."""
        clean: dict[int, Pixels | InputError] = {}
        for key in dict.fromkeys(item.key for item in batch):
            places = [place for place, item in enumerate(batch) if item.key == key]
            some = self.cleaners[key].finish([batch[place].prepared for place in places])
            clean.update(zip(places, some, strict=True))
        return [clean[place] for place in range(len(batch))]


def clean_isolating_errors(
    clean: Callable[[Sequence[Item]], Sequence[Pixels]], batch: Sequence[Item]
) -> Sequence[Pixels | InputError]:
    """Clean a batch; if it fails, clean its images one by one, so that errors stay separate."""
    try:
        return clean(batch) if batch else []
    except InputError as error:
        if len(batch) == 1:
            return [error]
        return [image for item in batch for image in clean_isolating_errors(clean, [item])]
