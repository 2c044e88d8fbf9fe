"""A defense beside a GPU: what the device can do is done there, a batch of images at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rsparse.defenses.defense import Defense, Resources
from rsparse.defenses.regionsparse import RegionSparse
from rsparse.errors import InputError

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels, Region


class Prepared(NamedTuple):
    """An image on its way to the device.

    ``region`` is what RegionSparse has found in it; without one the image is clean already.
    ``seconds`` have been spent on it.
    """

    pixels: Pixels
    region: Region | None
    seconds: float


class Cleaned(NamedTuple):
    """A clean image, or why there is none, and the seconds that were spent on it."""

    pixels: Pixels | InputError
    seconds: float


@dataclass(frozen=True)
class OnDevice:
    """RegionSparse on torch's device ``device``; any other defense on the core that prepares.

    ``prepare`` may be called by many threads, ``finish`` by one. An image's pixels do not depend
    on the batch that it is in.
    """

    defense: Defense
    resources: Resources
    device: str

    def prepare(self, image: Pixels, mask: Mask | None = None) -> Prepared:
        """Do what the CPU has to do for an image, (h, w, 3) uint8.

        Raises
        ------
        InputError
            If the image is too small or too large for the defense.
        """
        start = time.thread_time()
        if isinstance(self.defense, RegionSparse):
            from rsparse.core.regionsparse import object_region

            dictionary = self.resources.dictionaries[self.defense.dictionary]
            region = object_region(image, dictionary, self.defense, self.defense, mask)
            return Prepared(image, region, time.thread_time() - start)
        clean = self.defense.clean(image, self.resources, mask)
        return Prepared(clean, None, time.thread_time() - start)

    def finish(self, batch: Sequence[Prepared]) -> list[Cleaned]:
        """Do what is left to do, for all images of a batch together."""
        start = time.perf_counter()
        left = [item for item in batch if item.region is not None]
        clean = iter(self._purified(left))
        each = (time.perf_counter() - start) / max(len(left), 1)
        return [
            Cleaned(item.pixels, item.seconds)
            if item.region is None
            else Cleaned(next(clean), item.seconds + each)
            for item in batch
        ]

    def _purified(self, batch: Sequence[Prepared]) -> Sequence[Pixels | InputError]:
        """Clean images; one that does not fit into the device's memory spares the others."""
        if not isinstance(self.defense, RegionSparse) or not batch:
            return []
        from rsparse.gpu.regionsparse import purify_together

        dictionary = self.resources.dictionaries[self.defense.dictionary]
        images = [item.pixels for item in batch]
        regions = [item.region for item in batch if item.region is not None]
        try:
            return purify_together(images, regions, dictionary, self.defense, self.device)
        except InputError as error:
            if len(batch) == 1:
                return [error]
            return [clean for item in batch for clean in self._purified([item])]
