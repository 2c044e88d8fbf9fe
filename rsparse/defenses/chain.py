"""Defenses one after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rsparse.defenses.defense import Defense, Resources
from rsparse.work.device import CPU, Device

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

    def codecs(self, device: Device = CPU) -> dict[str, str]:  # noqa: ARG002 - has no part
        return {name: number for part in self.parts for name, number in part.codecs().items()}

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
    def in_words(self) -> str:
        return ", then ".join(part.in_words for part in self.parts)

    def as_record(self) -> dict[str, Any]:
        return {"name": self.kind, "parts": [part.as_record() for part in self.parts]}


def parts_of(defense: Defense) -> tuple[Defense, ...]:
    """The parts of a chain; of any other defense, itself."""
    return defense.parts if isinstance(defense, Chain) else (defense,)
