"""A defense beside a GPU: what the device can do is done there, a batch of images at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rsparse.defenses.comdefend import ComDefend
from rsparse.defenses.defense import Defense, Resources
from rsparse.defenses.regionsparse import RegionSparse
from rsparse.errors import InputError
from rsparse.work.device import Device

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels, Region


class Prepared(NamedTuple):
    """An image on its way to the device.

    ``defense`` is the one that cleans this image, ``region`` what RegionSparse has found in it.
    What the device does not work on is clean already. ``seconds`` have been spent on it.
    """

    defense: Defense
    pixels: Pixels
    region: Region | None
    seconds: float


class Cleaned(NamedTuple):
    """A clean image, or why there is none, and the seconds that were spent on it."""

    pixels: Pixels | InputError
    seconds: float


@dataclass(frozen=True)
class OnDevice:
    """A defense beside a device that takes images: what has no device part is done by the cores.

    ``prepare`` may be called by many threads or processes, ``finish`` by one. An image's pixels do
    not depend on the batch that it is in.
    """

    defense: Defense
    resources: Resources
    device: Device

    def prepare(self, image: Pixels, mask: Mask | None = None) -> Prepared:
        """Do what the CPU has to do for an image, (h, w, 3) uint8.

        Raises
        ------
        InputError
            If the image is too small or too large for the defense.
        """
        start = time.thread_time()
        pixels, region = image, None
        defense = self.defense.chosen_for(image)
        if isinstance(defense, RegionSparse):
            from rsparse.core.regionsparse import object_region

            dictionary = self.resources.dictionaries[defense.dictionary]
            region = object_region(image, dictionary, defense, defense, mask)
        elif not defense.has_device_part:
            pixels = defense.clean(image, self.resources, mask)
        return Prepared(defense, pixels, region, time.thread_time() - start)

    def finish(self, batch: Sequence[Prepared]) -> list[Cleaned]:
        """Do what is left to do, for all images of a batch together."""
        if not self.defense.has_device_part:
            return [Cleaned(item.pixels, item.seconds) for item in batch]
        start = time.perf_counter()
        clean = self._sparing(batch)
        each = (time.perf_counter() - start) / max(len(batch), 1)
        return [
            Cleaned(pixels, item.seconds + each) for item, pixels in zip(batch, clean, strict=True)
        ]

    def _sparing(self, batch: Sequence[Prepared]) -> Sequence[Pixels | InputError]:
        """Clean images; one that does not fit into the device's memory spares the others."""
        try:
            return self._cleaned(batch)
        except InputError as error:
            if len(batch) == 1:
                return [error]
            return [clean for item in batch for clean in self._sparing([item])]

    def _cleaned(self, batch: Sequence[Prepared]) -> Sequence[Pixels]:
        """What the device makes of images of any sizes, those of one defense together."""
        alike: dict[Defense, list[int]] = {}
        for number, item in enumerate(batch):
            alike.setdefault(item.defense, []).append(number)
        clean: dict[int, Pixels] = {}
        for defense, numbers in alike.items():
            own = self._cleaned_by(defense, [batch[number] for number in numbers])
            clean.update(zip(numbers, own, strict=True))
        return [clean[number] for number in range(len(batch))]

    def _cleaned_by(self, defense: Defense, batch: Sequence[Prepared]) -> Sequence[Pixels]:
        images = [item.pixels for item in batch]
        if isinstance(defense, RegionSparse):
            from rsparse.core.engines.torch.regionsparse import purify_together

            dictionary = self.resources.dictionaries[defense.dictionary]
            regions = [item.region for item in batch if item.region is not None]
            return purify_together(images, regions, dictionary, defense, self.device.torch)
        if isinstance(defense, ComDefend):
            from rsparse.data import comdefend_model
            from rsparse.models.autoencoder import load_autoencoder

            networks = load_autoencoder(comdefend_model(), self.device.torch)
            return networks.restored_together(images)
        return images
