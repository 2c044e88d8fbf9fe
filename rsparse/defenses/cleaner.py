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

from rsparse.defenses.applied import Cleaned, chosen_by_rule
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
        """Whether ``finish`` has work to do; if not, ``prepare`` returns a ``Cleaned``."""
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
    def finish(self, batch: Sequence[Any]) -> Sequence[Cleaned | InputError]:
        """Finish a prepared batch: clean images, and an InputError for each image that failed."""


class Choice(NamedTuple):
    """The choice among several defenses for an image, and its reason.

    Attributes
    ----------
    key : hashable
        The defense, or what stands for it.
    rule : int
        Number of the rule that chose it, from 1.
    measured : mapping of str to float
        What was measured in the image.
    """

    key: Hashable
    rule: int
    measured: Mapping[str, float]


class ChosenImage(NamedTuple):
    """An image prepared by one of several cleaners, and the choice of that cleaner."""

    choice: Choice
    prepared: Any


@dataclass(frozen=True)
class SelectingCleaner(Cleaner):
    """Several cleaners, one of which is selected for each image.

    Parameters
    ----------
    cleaners : mapping of hashable to Cleaner
    choose : callable
        Returns the choice for an image, with the key of its cleaner. It has to be picklable.
    """

    cleaners: Mapping[Any, Cleaner]
    choose: Callable[[Pixels], Choice]

    def prepare(self, image: Pixels, mask: Mask | None = None) -> ChosenImage:
        choice = self.choose(image)
        return ChosenImage(choice, self.cleaners[choice.key].prepare(image, mask))

    def finish(self, batch: Sequence[ChosenImage]) -> Sequence[Cleaned | InputError]:
        """Let each cleaner finish its own images together."""
        clean: dict[int, Cleaned | InputError] = {}
        for key in dict.fromkeys(item.choice.key for item in batch):
            places = [place for place, item in enumerate(batch) if item.choice.key == key]
            some = self.cleaners[key].finish([batch[place].prepared for place in places])
            clean.update(zip(places, some, strict=True))
        return [_told(clean[place], item.choice) for place, item in enumerate(batch)]


def _told(clean: Cleaned | InputError, choice: Choice) -> Cleaned | InputError:
    """A clean image with the choice of its defense."""
    if isinstance(clean, InputError):
        return clean
    return Cleaned(clean.pixels, chosen_by_rule(clean.applied, choice.rule, choice.measured))


def clean_isolating_errors(
    clean: Callable[[Sequence[Item]], Sequence[Cleaned]], batch: Sequence[Item]
) -> Sequence[Cleaned | InputError]:
    """Clean a batch; if it fails, clean its images one by one, so that errors stay separate."""
    try:
        return clean(batch) if batch else []
    except InputError as error:
        if len(batch) == 1:
            return [error]
        return [image for item in batch for image in clean_isolating_errors(clean, [item])]
