"""A defense at work: what the cores do for an image, and what a device does for a batch.

``Defense.on(device, resources)`` gives a ``Cleaner``. Beside a device many threads or processes
prepare images, and one thread finishes them, some at a time. An image's pixels do not depend on
the batch that it is in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from rsparse.errors import InputError

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels
    from rsparse.defenses.defense import Defense, Resources

Item = TypeVar("Item")


class Cleaner(ABC):
    """A defense on a device.

    It can be pickled, and so can what ``prepare`` makes.
    """

    @property
    def uses_device(self) -> bool:
        """Whether ``finish`` computes; where it does not, ``prepare`` gives the clean image."""
        return True

    @abstractmethod
    def prepare(self, image: Pixels, mask: Mask | None = None) -> Any:
        """Do what the cores have to do for an image, (h, w, 3) uint8.

        Raises
        ------
        InputError
            If the image is too small or too large for the defense.
        """

    @abstractmethod
    def finish(self, batch: Sequence[Any]) -> Sequence[Pixels | InputError]:
        """The clean images of a batch that was prepared; for one of them, why there is none."""


@dataclass(frozen=True)
class OnCores(Cleaner):
    """A defense that the cores carry out alone."""

    defense: Defense
    resources: Resources

    @property
    def uses_device(self) -> bool:
        return False

    def prepare(self, image: Pixels, mask: Mask | None = None) -> Pixels:
        return self.defense.clean(image, self.resources, mask)

    def finish(self, batch: Sequence[Pixels]) -> Sequence[Pixels]:
        return batch


class Chosen(NamedTuple):
    """An image prepared by one of several cleaners, and what that one is called."""

    key: Hashable
    prepared: Any


@dataclass(frozen=True)
class OneOf(Cleaner):
    """Several cleaners, one of which is chosen for each image.

    Parameters
    ----------
    cleaners : mapping of hashable to Cleaner
    choose : callable
        The key of the cleaner for an image; picklable.
    """

    cleaners: Mapping[Any, Cleaner]
    choose: Callable[[Pixels], Hashable]

    def prepare(self, image: Pixels, mask: Mask | None = None) -> Chosen:
        key = self.choose(image)
        return Chosen(key, self.cleaners[key].prepare(image, mask))

    def finish(self, batch: Sequence[Chosen]) -> Sequence[Pixels | InputError]:
        """Each cleaner finishes those that it was chosen for, together."""
        clean: dict[int, Pixels | InputError] = {}
        for key in dict.fromkeys(item.key for item in batch):
            places = [place for place, item in enumerate(batch) if item.key == key]
            some = self.cleaners[key].finish([batch[place].prepared for place in places])
            clean.update(zip(places, some, strict=True))
        return [clean[place] for place in range(len(batch))]


def sparing(
    clean: Callable[[Sequence[Item]], Sequence[Pixels]], batch: Sequence[Item]
) -> Sequence[Pixels | InputError]:
    """Clean a batch; an image that does not fit into the device's memory spares the others."""
    try:
        return clean(batch) if batch else []
    except InputError as error:
        if len(batch) == 1:
            return [error]
        return [image for item in batch for image in sparing(clean, [item])]
