"""Changes of an image that leave its class as it is: views on which a classifier should agree.

They are defenses that no spec names; ``detection.model_scores`` combines them with some that have
names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.defenses import Defense, Resources
from rsparse.options.fields import parameter

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels


@dataclass(frozen=True)
class Mirrored(Defense):
    """The image with left and right exchanged."""

    name: ClassVar[str] = "mirrored"

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        return image[:, ::-1].copy()


@dataclass(frozen=True)
class Shifted(Defense):
    """The image moved; what leaves it comes in on the other side."""

    name: ClassVar[str] = "shifted"

    rows: int = parameter(2, "Pixels down; up if negative.", minimum=-1000, maximum=1000)
    columns: int = parameter(
        3, "Pixels to the right; to the left if negative.", minimum=-1000, maximum=1000
    )

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        import numpy as np

        return np.roll(image, (self.rows, self.columns), axis=(0, 1))


@dataclass(frozen=True)
class Noisy(Defense):
    """The image with Gaussian noise, which depends on the seed and on the image."""

    name: ClassVar[str] = "noisy"

    deviation: float = parameter(
        6.0, "Its standard deviation in grey levels.", above=0, maximum=255
    )

    @property
    def is_random(self) -> bool:
        return True

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:  # noqa: ARG002
        import numpy as np

        noise = resources.random(image).normal(0, self.deviation, image.shape)
        return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
