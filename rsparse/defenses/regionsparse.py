"""RegionSparse, the paper's method, as a defense among others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.defenses.defense import Defense, Resources
from rsparse.options.fields import parameter
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels


@dataclass(frozen=True)
class RegionSparse(Defense, LocalizeParameters, PurifyParameters):
    """Sparse coding on the object, a bilateral filter around it (the paper's Section IV)."""

    name: ClassVar[str] = "regionsparse"
    strengths: ClassVar[tuple[str, ...]] = ("sparsity",)
    has_device_part: ClassVar[bool] = True

    dictionary: str = parameter("", "Name of the dictionary; without one, the unnamed one.")

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:
        from rsparse.core.regionsparse import purify

        self.check(resources)
        return purify(image, resources.dictionaries[self.dictionary], self, self, mask)

    @property
    def dictionaries(self) -> tuple[str, ...]:
        return (self.dictionary,)

    @property
    def takes_mask(self) -> bool:
        return self.localize

    @property
    def in_words(self) -> str:
        atoms = f"K = {self.sparsity}"
        if self.min_correlation:
            atoms = f"at most {atoms}, of atoms that correlate by more than "
            atoms += f"{self.min_correlation:g},"
        coded = "the object region" if self.localize else "the whole image"
        around = (
            ", the bilateral filter around it" if self.localize and self.filter_background else ""
        )
        filtered = "the bilateral filter, then " if self.prefilter else ""
        named = f", by the dictionary {self.dictionary}" if self.dictionary else ""
        return f"{filtered}{coded} coded with {atoms} at stride {self.stride}{around}{named}"
