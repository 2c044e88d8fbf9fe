"""Define the absence of a defense, to which all defenses are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.defenses.defense import Defense, Resources

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels
    from rsparse.defenses.defense import Floats


@dataclass(frozen=True)
class NoDefense(Defense):
    """No defense: the image stays unchanged."""

    name: ClassVar[str] = "none"

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        return image.copy()

    def clean_unrounded(self, x: Floats, resources: Resources) -> Floats:  # noqa: ARG002
        return x

    @property
    def in_words(self) -> str:
        return "no defense: the image stays unchanged"
