"""RegionSparse, the paper's method, as a defense among others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rsparse.defenses.cleaner import Cleaner, sparing
from rsparse.defenses.defense import Defense, Resources
from rsparse.options.fields import Parameters, parameter
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters
from rsparse.work.device import Device

if TYPE_CHECKING:
    from rsparse.core.dictionary import Dictionary
    from rsparse.core.regionsparse import Mask, Pixels, Region
    from rsparse.errors import InputError


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

    def on(self, device: Device, resources: Resources) -> Cleaner:
        if not device.takes_images:
            return super().on(device, resources)
        return RegionSparseOnDevice(self, resources.dictionaries[self.dictionary], device)

    @property
    def has_device_part(self) -> bool:
        return True

    @property
    def dictionaries(self) -> tuple[str, ...]:
        return (self.dictionary,)

    @property
    def takes_mask(self) -> bool:
        return self.localize

    def as_parameters(self, has_masks: bool = False) -> dict[str, Any]:
        """Its own parameters plainly, and those of localization where it is done."""
        values = _values(PurifyParameters, self)
        if self.localize and not has_masks:
            values["localization"] = _values(LocalizeParameters, self)
        return values

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


def _values(kind: type[Parameters], parameters: Parameters) -> dict[str, Any]:
    return {field.name: getattr(parameters, field.name) for field in dataclasses.fields(kind)}


class Located(NamedTuple):
    """An image, and its object region."""

    image: Pixels
    region: Region


@dataclass(frozen=True)
class RegionSparseOnDevice(Cleaner):
    """RegionSparse on a device; the cores find the object regions."""

    defense: RegionSparse
    dictionary: Dictionary
    device: Device

    def prepare(self, image: Pixels, mask: Mask | None = None) -> Located:
        from rsparse.core.regionsparse import object_region

        return Located(
            image, object_region(image, self.dictionary, self.defense, self.defense, mask)
        )

    def finish(self, batch: Sequence[Located]) -> Sequence[Pixels | InputError]:
        return sparing(self._purified, batch)

    def _purified(self, batch: Sequence[Located]) -> Sequence[Pixels]:
        from rsparse.core.engines import engine_for
        from rsparse.core.regionsparse import purify_batch

        images, regions = zip(*batch, strict=True)
        engine = engine_for(self.device.torch)
        return purify_batch(images, regions, self.dictionary, self.defense, engine)
