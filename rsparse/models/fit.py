"""How an image of any size becomes the input of a network: which pixels of it are kept.

This module imports nothing heavy; ``models/resize.py`` computes the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """One axis: ``n_from`` pixels are resized to ``n_resized``, of which a part is kept."""

    n_from: int
    n_resized: int
    start: int
    n_kept: int

    @property
    def is_kept_whole(self) -> bool:
        """Whether nothing changes."""
        return self.n_from == self.n_resized == self.n_kept


@dataclass(frozen=True)
class Fit:
    """The size of an input, and how images of other sizes are brought to it.

    An image that has the size already is left as it is, so that what was fitted once, such as an
    adversarial image, is not cut again.

    Attributes
    ----------
    size : (int, int)
        Height and width.
    crop : float or None
        The share of the shorter side that is kept, as timm's ``crop_pct``: the image is resized to
        cover the input divided by the share, keeping its aspect, and its centre is cut out.
        ``None`` resizes the whole image, whatever its aspect.
    """

    size: tuple[int, int]
    crop: float | None = None

    @property
    def text(self) -> str:
        """The size and the share as an option spells them: ``224x224:crop:0.875``."""
        size = "x".join(map(str, self.size))
        return size if self.crop is None else f"{size}:crop:{self.crop!r}"

    def axes(self, rows: int, columns: int) -> tuple[Axis, Axis]:
        """What happens to the rows and to the columns of an image.

        Examples
        --------
        >>> Fit((224, 224), 0.875).axes(300, 400)
        (Axis(n_from=300, n_resized=256, start=16, n_kept=224), Axis(n_from=400, n_resized=341, \
start=58, n_kept=224))
        """
        height, width = self.size
        resized = self.size
        if (rows, columns) != self.size and self.crop is not None:
            resized = self._covering(rows, columns, self.crop)
        return (
            Axis(rows, resized[0], _start(resized[0], height), height),
            Axis(columns, resized[1], _start(resized[1], width), width),
        )

    def _covering(self, rows: int, columns: int, crop: float) -> tuple[int, int]:
        """The size to which an image is resized before it is cut, as torchvision and timm do."""
        height, width = (int(side / crop) for side in self.size)
        if rows * width <= columns * height:
            return height, max(width, int(height * columns / rows))
        return max(height, int(width * rows / columns)), width


def _start(n_resized: int, n_kept: int) -> int:
    return round((n_resized - n_kept) / 2.0)
