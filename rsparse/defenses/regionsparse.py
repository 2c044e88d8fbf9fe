"""Define RegionSparse, the paper's method, as a defense."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rsparse.defenses.applied import Applied, Cleaned
from rsparse.defenses.cleaner import Cleaner, clean_isolating_errors
from rsparse.defenses.defense import Defense, Resources
from rsparse.errors import InputError
from rsparse.options.fields import Parameters, parameter
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters
from rsparse.work.device import Device

if TYPE_CHECKING:
    from rsparse.core.dictionary import Dictionary
    from rsparse.core.regionsparse import Mask, Pixels, Region


@dataclass(frozen=True)
class RegionSparse(Defense, LocalizeParameters, PurifyParameters):
    """Sparse coding of the object and a bilateral filter around it (the paper's Section IV)."""

    name: ClassVar[str] = "regionsparse"
    strengths: ClassVar[tuple[str, ...]] = ("sparsity",)

    dictionary: str = parameter("", "Name of the dictionary; by default the one without a name.")

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:
        return self.apply(image, resources, mask).pixels

    def apply(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Cleaned:
        from rsparse.core.engines import engine_for
        from rsparse.core.regionsparse import object_region, purify_batch

        self.check(resources)
        dictionary = resources.dictionaries[self.dictionary]
        region = object_region(image, dictionary, self, self, mask)
        (pixels,) = purify_batch([image], [region], dictionary, self, engine_for())
        return Cleaned(pixels, self.applied_in(region))

    def applied_in(self, region: Region) -> tuple[Applied, ...]:
        """Tell what is done to an image with this region."""
        share = round(float(region.mask.mean()), 4)
        return (Applied(self.spec, sparsity=self.sparsity, region=share),)

    def on(self, device: Device, resources: Resources) -> Cleaner:
        if not device.takes_images:
            return super().on(device, resources)
        return RegionSparseCleaner(self, resources.dictionaries[self.dictionary], device)

    @property
    def has_device_part(self) -> bool:
        return True

    @property
    def dictionaries(self) -> tuple[str, ...]:
        return (self.dictionary,)

    @property
    def takes_mask(self) -> bool:
        return self.localize

    def check_strength(self, resources: Resources) -> None:
        self.check(resources)
        dictionary = resources.dictionaries[self.dictionary]
        refuse_excess(dictionary, self.sparsity)
        refuse_gaps(dictionary.patch_size, self.stride)

    def as_parameters(self, has_masks: bool = False) -> dict[str, Any]:
        """Return its own parameters, and those of localization in a group if it is used."""
        values = _values(PurifyParameters, self)
        if self.localize and not has_masks:
            values["localization"] = _values(LocalizeParameters, self)
        return values

    @property
    def in_words(self) -> str:
        atoms = f"K = {self.sparsity}"
        if self.min_correlation:
            atoms = f"at most {atoms} atoms with a correlation above {self.min_correlation:g}"
        coded = "the object region" if self.localize else "the whole image"
        around = (
            ", the bilateral filter around it" if self.localize and self.filter_background else ""
        )
        share = "" if self.theta == 1 else f" to a share of {self.theta:g}"
        tolerance = self.bilateral_sigma_color
        usual = tolerance == PurifyParameters.bilateral_sigma_color
        mild = "" if usual else f" with a tolerance of {tolerance:g} grey levels"
        filtered = f"the bilateral filter{mild}, then " if self.prefilter else ""
        named = f", with the dictionary {self.dictionary}" if self.dictionary else ""
        return f"{filtered}{coded} coded with {atoms} at stride {self.stride}{share}{around}{named}"


def _values(kind: type[Parameters], parameters: Parameters) -> dict[str, Any]:
    return {field.name: getattr(parameters, field.name) for field in dataclasses.fields(kind)}


def refuse_excess(dictionary: Dictionary, sparsity: int, what: str = "sparsity") -> None:
    """Refuse more atoms for a patch than can matter.

    Raises
    ------
    InputError
        If ``sparsity`` is above the numbers in a patch, or above the number of atoms.
    """
    n_atoms, n_features = dictionary.atoms.shape
    b, color = dictionary.patch_size, dictionary.color
    if sparsity > n_features:
        size = f"{b}×{b}{'×3' if color else ''}"
        raise InputError(
            f"{what}: expected at most {n_features}, since a patch of {size} has no more numbers, "
            f"got {sparsity}"
        )
    if sparsity > n_atoms:
        raise InputError(
            f"{what}: expected at most {n_atoms}, since the dictionary has no more atoms, got "
            f"{sparsity}"
        )


def refuse_gaps(patch_size: int, stride: int) -> None:
    """Refuse a distance of patches that leaves pixels between them as they are.

    Raises
    ------
    InputError
        If ``stride`` is above the side of a patch.
    """
    if stride > patch_size:
        raise InputError(
            f"stride: expected at most {patch_size}, the side of the dictionary's patches, since "
            f"pixels between patches would not be coded, got {stride}"
        )


class LocatedImage(NamedTuple):
    """An image and its object region."""

    image: Pixels
    region: Region


@dataclass(frozen=True)
class RegionSparseCleaner(Cleaner):
    """RegionSparse on a device; the CPU cores locate the objects."""

    defense: RegionSparse
    dictionary: Dictionary
    device: Device

    def prepare(self, image: Pixels, mask: Mask | None = None) -> LocatedImage:
        from rsparse.core.regionsparse import object_region

        return LocatedImage(
            image, object_region(image, self.dictionary, self.defense, self.defense, mask)
        )

    def finish(self, batch: Sequence[LocatedImage]) -> Sequence[Cleaned | InputError]:
        return clean_isolating_errors(self._purified, batch)

    def _purified(self, batch: Sequence[LocatedImage]) -> Sequence[Cleaned]:
        from rsparse.core.engines import engine_for
        from rsparse.core.regionsparse import purify_batch

        images, regions = zip(*batch, strict=True)
        engine = engine_for(self.device.torch)
        purified = purify_batch(images, regions, self.dictionary, self.defense, engine)
        told = map(self.defense.applied_in, regions)
        return [Cleaned(*each) for each in zip(purified, told, strict=True)]
