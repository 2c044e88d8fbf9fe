"""The work that images are, so that a progress bar tells the time that is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rsparse.store.images import ImageFile, pixels_in_header

FIXED = 20_000
"""Pixels whose work is that of opening, writing and recording an image of any size."""

_MEASURED = 2_000
_MOST = 50_000


class ImageWork:
    """The work of each image, by its pixels.

    Of many images, evenly spaced ones are measured, and those after each count as much as it. Of
    very many, all count alike.

    Attributes
    ----------
    total : float or None
        Of all images; None if they count alike.
    """

    def __init__(self, images: Sequence[ImageFile]) -> None:
        self._by_name: dict[str, float] = {}
        self.total: float | None = None
        if not images or len(images) > _MOST:
            return
        step = -(-len(images) // _MEASURED)
        work = float(FIXED)
        for number, image in enumerate(images):
            if number % step == 0:
                work = float(FIXED + pixels_in_header(image.path))
            self._by_name[image.name] = work
        self.total = sum(self._by_name.values())

    def of(self, names: Iterable[str]) -> float | None:
        """The work of images by their names; None if all count alike."""
        if self.total is None:
            return None
        return sum(self._by_name.get(name, 0.0) for name in names)
