"""RegionSparse, the paper's method, as a defense among others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.defenses.base import Defense, Resources
from rsparse.errors import InputError
from rsparse.parameters import LocalizeParameters, PurifyParameters, parameter

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels


@dataclass(frozen=True)
class RegionSparse(Defense, LocalizeParameters, PurifyParameters):
    """Sparse coding on the object, a bilateral filter around it (the paper's Section IV)."""

    name: ClassVar[str] = "regionsparse"
    strengths: ClassVar[tuple[str, ...]] = ("sparsity",)

    dictionary: str = parameter("", "Name of the dictionary; without one, the unnamed one.")

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:
        from rsparse.core.regionsparse import purify

        self.check(resources)
        return purify(image, resources.dictionaries[self.dictionary], self, self, mask)

    def check(self, resources: Resources) -> None:
        if self.dictionary in resources.dictionaries:
            return
        if self.dictionary:
            wanted = f"a dictionary named {self.dictionary!r}: --dict {self.dictionary}=dict.h5"
        else:
            wanted = "a dictionary: --dict dict.h5"
        raise InputError(f"{self.name} needs {wanted}")
