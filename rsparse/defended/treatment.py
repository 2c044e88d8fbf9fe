"""What was done to an image: the parts of the defense, and how much they changed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rsparse.defenses.applied import Applied

if TYPE_CHECKING:
    from rsparse.core.change import Change


@dataclass(frozen=True)
class Treatment:
    """What a defense did to an image.

    Attributes
    ----------
    applied : tuple of Applied
        The parts of the defense in the order of their work; empty if it was not applied.
    change : Change
        From the image to the clean image.
    """

    applied: tuple[Applied, ...]
    change: Change

    @property
    def text(self) -> str:
        """``rule 2: jpeg:quality=75``; the parts of a chain are joined by ``, then``."""
        return ", then ".join(part.text for part in self.applied) or "nothing"

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types; ``psnr`` is null for an unchanged image."""
        unchanged = self.change.is_none
        return {
            "done": self.text,
            "applied": [part.as_json() for part in self.applied],
            "unchanged": unchanged,
            "psnr": None if unchanged else self.change.psnr,
            "linf": self.change.linf,
        }
