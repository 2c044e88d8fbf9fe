"""What every defense is: a frozen parameter set that cleans one image."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from rsparse.defenses.cleaner import Cleaner, OnCores
from rsparse.errors import InputError
from rsparse.options.fields import Parameters
from rsparse.options.specs import spec_string, spec_text
from rsparse.work.device import CPU, Device

if TYPE_CHECKING:
    import numpy as np

    from rsparse.core.dictionary import Dictionary
    from rsparse.core.regionsparse import Mask, Pixels


@dataclass(frozen=True)
class Resources:
    """What defenses may need besides an image; it can be sent to other processes.

    Attributes
    ----------
    dictionaries : mapping of str to Dictionary
        By name; "" is the default one.
    seed : int
        Of the defenses that draw random numbers.
    """

    dictionaries: Mapping[str, Dictionary] = field(default_factory=dict)
    seed: int = 0

    def only(self, names: Collection[str]) -> Resources:
        """These, with the dictionaries of some names alone: less to send to other processes."""
        kept = {name: self.dictionaries[name] for name in names if name in self.dictionaries}
        return Resources(kept, self.seed)

    def random(self, image: Pixels) -> np.random.Generator:
        """The random numbers of an image, the same in any order and in any process.

        They follow from the seed and from the image's pixels and size.
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
        How a spec calls it.
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
            It is not written to.
        resources : Resources
        mask : bool array of shape (h, w), optional
            True on the object region, for defenses that ask for one.

        Returns
        -------
        uint8 array of shape (h, w, 3), RGB

        Raises
        ------
        InputError
            If the image is too small or too large for the defense, or something is missing.
        """
        raise NotImplementedError

    def on(self, device: Device, resources: Resources) -> Cleaner:  # noqa: ARG002 - a subclass may
        """The defense on a device; without a part for it the cores do all.

        Parameters
        ----------
        device : Device
        resources : Resources
            With what the defense needs.
        """
        return OnCores(self, resources)

    @property
    def has_device_part(self) -> bool:
        """Whether torch can do some of it, most often the larger part, on a GPU."""
        return False

    def check(self, resources: Resources) -> None:
        """See, before any image is read, that ``resources`` hold what the defense needs.

        Raises
        ------
        InputError
            If something is missing.
        """
        for name in self.dictionaries:
            if name not in resources.dictionaries:
                wanted = f" named {name!r}: --dict {name}=dict.h5" if name else ": --dict dict.h5"
                raise InputError(f"{self.kind} needs a dictionary{wanted}")

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
        """Whether it draws random numbers, so that a seed belongs to its result."""
        return False

    def codecs(self, device: Device = CPU) -> dict[str, str]:  # noqa: ARG002
        """Versions of the libraries whose results drift from one to the next, by name.

        Parameters
        ----------
        device : Device
            Where the defense's device part is done.
        """
        return {}

    @property
    def text(self) -> str:
        """Its canonical short name, usable as the name of a folder: ``jpeg-quality=75``."""
        return spec_text(self.name, self)

    @property
    def spec(self) -> str:
        """The spec string that asks for it: ``jpeg:quality=75``."""
        return spec_string(self.name, self)

    @property
    def details(self) -> tuple[str, ...]:
        """What ``spec`` does not tell, a line each: the rules of a policy."""
        return ()

    @property
    def in_words(self) -> str:
        """What it does to an image, for a table."""
        return self.spec

    @property
    def kind(self) -> str:
        """Its name; of a chain, the names of its parts joined by ``+``."""
        return self.name

    def as_parameters(self, has_masks: bool = False) -> dict[str, Any]:  # noqa: ARG002
        """The parameters in the record of purified images.

        Parameters
        ----------
        has_masks : bool
            Whether masks take the place of localization.
        """
        return {"defense": self.as_record()}

    def as_record(self) -> dict[str, Any]:
        """Name and values as plain JSON types."""
        return {"name": self.kind, **super().as_record()}
