"""Clean images with a defense on a device."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rsparse.defended.treatment import Treatment
from rsparse.defenses import Defense, Resources
from rsparse.defenses.applied import Cleaned
from rsparse.errors import InputError
from rsparse.work.device import CPU, Device
from rsparse.work.workers import ParallelMap

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels


class PreparedImage(NamedTuple):
    """An image ready for the device, or already clean, and the seconds spent on it.

    Attributes
    ----------
    item : Any
        What the device needs; the clean pixels of an image that is clean.
    seconds : float
    before : uint8 array of shape (h, w, 3), or None
        The image itself while it waits for the device.
    treatment : Treatment or None
        What was done to an image that is clean.
    """

    item: Any
    seconds: float
    before: Pixels | None = None
    treatment: Treatment | None = None


class CleanedImage(NamedTuple):
    """A clean image or the error that prevented it, the seconds, and what was done to it."""

    pixels: Pixels | InputError
    seconds: float
    treatment: Treatment | None


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
        seconds = time.thread_time() - start
        if self.uses_device:
            return PreparedImage(item, seconds, before=image)
        return PreparedImage(item.pixels, seconds, treatment=_treatment(image, item))

    def finish(self, batch: Sequence[PreparedImage]) -> list[CleanedImage]:
        """Finish all images of a batch together."""
        if not self.uses_device:
            return [CleanedImage(each.item, each.seconds, each.treatment) for each in batch]
        start = time.perf_counter()
        clean = self._cleaner.finish([prepared.item for prepared in batch])
        seconds = (time.perf_counter() - start) / max(len(batch), 1)
        return [
            _finished(prepared, result, prepared.seconds + seconds)
            for prepared, result in zip(batch, clean, strict=True)
        ]

    def clean(
        self,
        images: Sequence[Pixels],
        mask: Mask | None = None,
        parallel_map: ParallelMap = map,
    ) -> list[Pixels]:
        """Clean images of any sizes together; see ``treat`` for the arguments."""
        return [pixels for pixels, _ in self.treat(images, mask, parallel_map)]

    def treat(
        self,
        images: Sequence[Pixels],
        mask: Mask | None = None,
        parallel_map: ParallelMap = map,
    ) -> list[tuple[Pixels, Treatment]]:
        """Clean images of any sizes together, and tell what was done to each.

        Parameters
        ----------
        images : sequence of uint8 arrays of shape (h, w, 3), RGB
        mask : bool array of shape (h, w), optional
            True on the object region, which is the same in all images.
        parallel_map : callable
            Maps the CPU's part of the work over the images, like ``map``.

        Returns
        -------
        list of pairs
            A uint8 array like the image, and the treatment.

        Raises
        ------
        InputError
            If an image cannot be cleaned.
        """
        prepared = list(parallel_map(lambda image: self.prepare(image, mask), images))
        treated = []
        for pixels, _, treatment in self.finish(prepared):
            if isinstance(pixels, InputError):
                raise pixels
            assert treatment is not None
            treated.append((pixels, treatment))
        return treated


def _finished(
    prepared: PreparedImage, result: Cleaned | InputError, seconds: float
) -> CleanedImage:
    if isinstance(result, InputError):
        return CleanedImage(result, seconds, None)
    assert prepared.before is not None
    return CleanedImage(result.pixels, seconds, _treatment(prepared.before, result))


def _treatment(image: Pixels, cleaned: Cleaned) -> Treatment:
    from rsparse.core.change import change_between

    return Treatment(cleaned.applied, change_between(image, cleaned.pixels))
