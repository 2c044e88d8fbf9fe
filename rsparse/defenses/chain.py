"""Run several defenses one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rsparse.defenses.applied import Applied, Cleaned
from rsparse.defenses.cleaner import Cleaner
from rsparse.defenses.defense import Defense, Resources
from rsparse.errors import InputError, attempt
from rsparse.work.device import CPU, Device
from rsparse.work.workers import usable_cores

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels
    from rsparse.defenses.defense import Floats


@dataclass(frozen=True)
class Chain(Defense):
    """Several defenses, each applied to the result of the previous one.

    Attributes
    ----------
    parts : tuple of Defense
    """

    name: ClassVar[str] = "chain"

    parts: tuple[Defense, ...]

    def __post_init__(self) -> None:
        """Check nothing: its parts are already checked."""

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:
        return self.apply(image, resources, mask).pixels

    def apply(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Cleaned:
        applied: tuple[Applied, ...] = ()
        for part in self.parts:
            image, done = part.apply(image, resources, mask)
            applied += done
        return Cleaned(image, applied)

    def clean_unrounded(self, x: Floats, resources: Resources) -> Floats:
        for part in self.parts:
            x = part.clean_unrounded(x, resources)
        return x

    def on(self, device: Device, resources: Resources) -> Cleaner:
        """Run each part on the device if it can, else on the cores."""
        if not (device.takes_images and self.has_device_part):
            return super().on(device, resources)
        return ChainCleaner(tuple(part.on(device, resources) for part in self.parts))

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

    def check_strength(self, resources: Resources) -> None:
        for part in self.parts:
            part.check_strength(resources)

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


class ImageInChain(NamedTuple):
    """An image in a chain: prepared for the next part that uses the device, or already clean.

    Attributes
    ----------
    prepared : Any
        For that part; a ``Cleaned`` of all parts if there is none.
    mask : bool array of shape (h, w), or None
    applied : tuple of Applied
        The parts before that part.
    """

    prepared: Any
    mask: Mask | None
    applied: tuple[Applied, ...]


@dataclass(frozen=True)
class ChainCleaner(Cleaner):
    """The parts of a chain on a device; threads run the parts that do not use the device."""

    parts: tuple[Cleaner, ...]

    def prepare(self, image: Pixels, mask: Mask | None = None) -> ImageInChain:
        return _prepared(self.parts, image, mask, ())

    def finish(self, batch: Sequence[ImageInChain]) -> Sequence[Cleaned | InputError]:
        from concurrent.futures import ThreadPoolExecutor

        items: list[ImageInChain | InputError] = list(batch)
        with ThreadPoolExecutor(usable_cores()) as pool:
            for number, part in enumerate(self.parts):
                if part.uses_device:  # the others are applied while preparing for it
                    usable = [item for item in items if isinstance(item, ImageInChain)]
                    clean = iter(part.finish([item.prepared for item in usable]))
                    rest = self.parts[number + 1 :]
                    following = [
                        item
                        if isinstance(item, InputError)
                        else pool.submit(_prepare_next, rest, item, next(clean))
                        for item in items
                    ]
                    items = [f if isinstance(f, InputError) else f.result() for f in following]
        return [item if isinstance(item, InputError) else item.prepared for item in items]


def _prepared(
    parts: Sequence[Cleaner], image: Pixels, mask: Mask | None, applied: tuple[Applied, ...]
) -> ImageInChain:
    """Apply parts to an image, up to and including the first preparation for the device."""
    for part in parts:
        prepared = part.prepare(image, mask)
        if part.uses_device:
            return ImageInChain(prepared, mask, applied)
        image, applied = prepared.pixels, applied + prepared.applied
    return ImageInChain(Cleaned(image, applied), mask, applied)


def _prepare_next(
    rest: Sequence[Cleaner], before: ImageInChain, clean: Cleaned | InputError
) -> ImageInChain | InputError:
    """Continue with an image in the rest of the chain, unless it has failed."""
    if isinstance(clean, InputError):
        return clean
    return attempt(_prepared, rest, clean.pixels, before.mask, before.applied + clean.applied)
