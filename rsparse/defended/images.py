"""Clean images with a defense on a device."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rsparse.defenses import Defense, Resources
from rsparse.errors import InputError
from rsparse.work.device import CPU, Device
from rsparse.work.workers import ParallelMap

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels


class PreparedImage(NamedTuple):
    """An image ready for the device, or already clean, and the seconds spent on it."""

    item: Any
    seconds: float


class CleanedImage(NamedTuple):
    """A clean image or the error that prevented it, and the seconds spent on it."""

    pixels: Pixels | InputError
    seconds: float


class DefendedImages:
    """A defense on a device.

    Many threads or processes may call ``prepare``, but only one may call ``finish``. An image's
    pixels do not depend on the other images of its batch. Instances can be pickled.

    Parameters
    ----------
    defense : Defense
    resources : Resources
    device : Device

    Raises
    ------
    InputError
        If the resources lack what the defense needs.
    """

    def __init__(self, defense: Defense, resources: Resources, device: Device = CPU) -> None:
        defense.check(resources)
        self.defense = defense
        self.device = device
        self._cleaner = defense.on(device, resources.only(defense.dictionaries))

    @property
    def uses_device(self) -> bool:
        """Whether a part of the defense runs on the device; if not, prepared images are clean."""
        return self._cleaner.uses_device

    def prepare(self, image: Pixels, mask: Mask | None = None) -> PreparedImage:
        """Do the CPU's part of the work for one image.

        Parameters
        ----------
        image : uint8 array of shape (h, w, 3), RGB
        mask : bool array of shape (h, w), optional
            True on the object region.

        Raises
        ------
        InputError
            If the image is too small or too large for the defense.
        """
        start = time.thread_time()
        item = self._cleaner.prepare(image, mask)
        return PreparedImage(item, time.thread_time() - start)

    def finish(self, batch: Sequence[PreparedImage]) -> list[CleanedImage]:
        """Finish all images of a batch together."""
        start = time.perf_counter()
        clean = self._cleaner.finish([prepared.item for prepared in batch])
        each = (time.perf_counter() - start) / max(len(batch), 1) if self.uses_device else 0.0
        return [
            CleanedImage(pixels, prepared.seconds + each)
            for prepared, pixels in zip(batch, clean, strict=True)
        ]

    def clean(
        self,
        images: Sequence[Pixels],
        mask: Mask | None = None,
        parallel_map: ParallelMap = map,
    ) -> list[Pixels]:
        """Clean images of any sizes together.

        Parameters
        ----------
        images : sequence of uint8 arrays of shape (h, w, 3), RGB
        mask : bool array of shape (h, w), optional
            True on the object region, which is the same in all images.
        parallel_map : callable
            Maps the CPU's part of the work over the images, like ``map``.

        Returns
        -------
        list of uint8 arrays like ``images``

        Raises
        ------
        InputError
            If an image cannot be cleaned.
        """
        prepared = list(parallel_map(lambda image: self._cleaner.prepare(image, mask), images))
        clean = []
        for pixels in self._cleaner.finish(prepared):
            if isinstance(pixels, InputError):
                raise pixels
            clean.append(pixels)
        return clean
