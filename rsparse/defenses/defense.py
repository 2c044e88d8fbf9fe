"""Define the base of all defenses: a frozen parameter set that cleans one image."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from rsparse.defenses.applied import Applied, Cleaned
from rsparse.defenses.cleaner import Cleaner
from rsparse.errors import InputError
from rsparse.options.fields import Parameters
from rsparse.options.specs import spec_string, spec_text
from rsparse.work.device import CPU, Device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rsparse.core.dictionary import Dictionary
    from rsparse.core.regionsparse import Mask, Pixels

    Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Resources:
    """What defenses may need in addition to an image; can be sent to other processes.

    Attributes
    ----------
    dictionaries : mapping of str to Dictionary
        By name; "" is the default one.
    seed : int
        Seed of the defenses that draw random numbers.
    """

    dictionaries: Mapping[str, Dictionary] = field(default_factory=dict)
    seed: int = 0

    def only(self, names: Collection[str]) -> Resources:
        """Keep only the dictionaries of these names, so that less is sent to other processes."""
        kept = {name: self.dictionaries[name] for name in names if name in self.dictionaries}
        return Resources(kept, self.seed)

    def random(self, image: Pixels) -> np.random.Generator:
        """Create the random number generator for an image.

        It depends only on the seed and on the image's pixels and size, so the order of the images
        and the process do not matter.
        """
        import hashlib

        import numpy as np

        digest = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()
        return np.random.default_rng([self.seed, int.from_bytes(digest)])


@dataclass(frozen=True)
class Defense(Parameters):
    """Base of all defenses.

    Attributes
    ----------
    name : str
        Its name in a spec.
    strengths : tuple of str
        The parameters that set how much it changes; they are always part of its short name.
    """

    name: ClassVar[str]
    strengths: ClassVar[tuple[str, ...]] = ()

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:
        """Clean one image.

        Parameters
        ----------
        image : uint8 array of shape (h, w, 3), RGB
            It is not changed.
        resources : Resources
        mask : bool array of shape (h, w), optional
            True on the object region, for defenses that use one.

        Returns
        -------
        uint8 array of shape (h, w, 3), RGB

        Raises
        ------
        InputError
            If the image is too small or too large for the defense, or a resource is missing.
        """
        raise NotImplementedError

    def apply(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Cleaned:
        """Clean one image as ``clean`` does, and tell what was done to it."""
        return Cleaned(self.clean(image, resources, mask), (Applied(self.spec),))

    def clean_unrounded(self, x: Floats, resources: Resources) -> Floats:
        """Clean an image that is not rounded to grey levels, such as one with noise.

        By default it is clipped and rounded first, since most defenses work on grey levels.

        Parameters
        ----------
        x : float32 array of shape (h, w, 3), RGB
            Values may be outside [0, 1].
        resources : Resources

        Returns
        -------
        float32 array of shape (h, w, 3)
        """
        from rsparse.store.images import to_pixels, to_unit

        return to_unit(self.clean(to_pixels(x), resources))

    def on(self, device: Device, resources: Resources) -> Cleaner:  # noqa: ARG002 - for subclasses
        """Prepare the defense to run on a device; by default all of it runs on the CPU cores.

        Parameters
        ----------
        device : Device
        resources : Resources
            Must hold what the defense needs.
        """
        return CpuCleaner(self, resources)

    @property
    def has_device_part(self) -> bool:
        """Whether torch can run a part of it, usually the larger one, on a GPU."""
        return False

    def check(self, resources: Resources) -> None:
        """Check, before any image is read, that ``resources`` hold what the defense needs.

        Raises
        ------
        InputError
            If a resource is missing.
        """
        for name in self.dictionaries:
            if name not in resources.dictionaries:
                hint = f" named {name!r}: --dict {name}=dict.h5" if name else ": --dict dict.h5"
                raise InputError(f"{self.kind} needs a dictionary{hint}")

    def check_strength(self, resources: Resources) -> None:
        """Check that a strength is not beyond what ``resources`` can give; ``check`` comes first.

        A policy is not checked, since it is written for dictionaries of any size.

        Raises
        ------
        InputError
            If a larger value than possible is asked for.
        """

    @property
    def dictionaries(self) -> tuple[str, ...]:
        """Names of the dictionaries that it needs; "" is the default one."""
        return ()

    @property
    def takes_mask(self) -> bool:
        """Whether a mask of the object region changes what it does."""
        return False

    @property
    def is_random(self) -> bool:
        """Whether it draws random numbers, so that its result depends on a seed."""
        return False

    def codecs(self, device: Device = CPU) -> dict[str, str]:  # noqa: ARG002
        """Return the versions, by name, of libraries whose results differ between versions.

        Parameters
        ----------
        device : Device
            Where the defense's device part runs.
        """
        return {}

    @property
    def text(self) -> str:
        """Its canonical short name, used for its folder: ``jpeg-quality=75``."""
        return spec_text(self.name, self)

    @property
    def spec(self) -> str:
        """Its spec string: ``jpeg:quality=75``."""
        return spec_string(self.name, self)

    @property
    def details(self) -> tuple[str, ...]:
        """What ``spec`` does not tell, a line each: the rules of a policy."""
        return ()

    @property
    def in_words(self) -> str:
        """A description for tables."""
        return self.spec

    @property
    def kind(self) -> str:
        """Its name; for a chain, the names of its parts joined by ``+``."""
        return self.name

    def as_parameters(self, has_masks: bool = False) -> dict[str, Any]:  # noqa: ARG002
        """Return the parameters for the record of purified images.

        Parameters
        ----------
        has_masks : bool
            Whether masks replace localization.
        """
        return {"defense": self.as_record()}

    def as_record(self) -> dict[str, Any]:
        """Return its name and values as plain JSON types."""
        return {"name": self.kind, **super().as_record()}


@dataclass(frozen=True)
class CpuCleaner(Cleaner):
    """A defense that runs on the CPU cores alone."""

    defense: Defense
    resources: Resources

    @property
    def uses_device(self) -> bool:
        return False

    def prepare(self, image: Pixels, mask: Mask | None = None) -> Cleaned:
        return self.defense.apply(image, self.resources, mask)

    def finish(self, batch: Sequence[Cleaned]) -> Sequence[Cleaned]:
        return batch
