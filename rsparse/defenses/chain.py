"""Defenses one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rsparse.defenses.cleaner import Cleaner
from rsparse.defenses.defense import Defense, Resources
from rsparse.errors import InputError, attempt, for_usable
from rsparse.work.device import CPU, Device
from rsparse.work.workers import usable_cores

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels


@dataclass(frozen=True)
class Chain(Defense):
    """Several defenses, each cleaning what the one before has left.

    Attributes
    ----------
    parts : tuple of Defense
    """

    name: ClassVar[str] = "chain"

    parts: tuple[Defense, ...]

    def __post_init__(self) -> None:
        """Its parts have checked themselves."""

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:
        for part in self.parts:
            image = part.clean(image, resources, mask)
        return image

    def on(self, device: Device, resources: Resources) -> Cleaner:
        """Each part where it can be done."""
        if not (device.takes_images and self.has_device_part):
            return super().on(device, resources)
        return OneAfterAnother(tuple(part.on(device, resources) for part in self.parts))

    @property
    def has_device_part(self) -> bool:
        return any(part.has_device_part for part in self.parts)

    @property
    def dictionaries(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part in self.parts for name in part.dictionaries))

    @property
    def takes_mask(self) -> bool:
        return any(part.takes_mask for part in self.parts)

    @property
    def is_random(self) -> bool:
        return any(part.is_random for part in self.parts)

    def check(self, resources: Resources) -> None:
        for part in self.parts:
            part.check(resources)

    def codecs(self, device: Device = CPU) -> dict[str, str]:
        return {name: number for part in self.parts for name, number in part.codecs(device).items()}

    @property
    def kind(self) -> str:
        return "+".join(part.kind for part in self.parts)

    @property
    def text(self) -> str:
        return "+".join(part.text for part in self.parts)

    @property
    def spec(self) -> str:
        return "+".join(part.spec for part in self.parts)

    @property
    def details(self) -> tuple[str, ...]:
        return tuple(line for part in self.parts for line in part.details)

    @property
    def in_words(self) -> str:
        return ", then ".join(part.in_words for part in self.parts)

    def as_record(self) -> dict[str, Any]:
        return {"name": self.kind, "parts": [part.as_record() for part in self.parts]}


class Underway(NamedTuple):
    """An image in a chain: prepared for the next part that uses the device, or clean."""

    prepared: Any
    mask: Mask | None


@dataclass(frozen=True)
class OneAfterAnother(Cleaner):
    """The parts of a chain on a device: what is between those that use it is done by threads."""

    parts: tuple[Cleaner, ...]

    def prepare(self, image: Pixels, mask: Mask | None = None) -> Underway:
        return Underway(_prepared(self.parts, image, mask), mask)

    def finish(self, batch: Sequence[Underway]) -> Sequence[Pixels | InputError]:
        from concurrent.futures import ThreadPoolExecutor

        masks = [item.mask for item in batch]
        images: Sequence[Any] = [item.prepared for item in batch]
        with ThreadPoolExecutor(usable_cores()) as pool:
            for number, part in enumerate(self.parts):
                if not part.uses_device:
                    continue  # it has been done when those before it were
                rest = self.parts[number + 1 :]
                clean = for_usable(part.finish, images)
                images = list(pool.map(partial(_carried_on, rest), clean, masks))
        return images


def _prepared(parts: Sequence[Cleaner], image: Pixels, mask: Mask | None) -> Any:
    """What the parts make of an image, up to the first one that finishes it on the device."""
    for part in parts:
        image = part.prepare(image, mask)
        if part.uses_device:
            break
    return image


def _carried_on(rest: Sequence[Cleaner], image: Pixels | InputError, mask: Mask | None) -> Any:
    return image if isinstance(image, InputError) else attempt(_prepared, rest, image, mask)
