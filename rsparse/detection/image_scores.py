"""Define scores of the image alone, which need no classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.detection.score import Answers, Score

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Pixels


@dataclass(frozen=True)
class Noise(Score):
    """The noise in the flattest parts of an image, in grey levels."""

    name: ClassVar[str] = "noise"
    is_level: ClassVar[bool] = True

    def measure(self, image: Pixels, answers: Answers) -> float:  # noqa: ARG002
        from rsparse.core.noise import noise_level

        return noise_level(image)


@dataclass(frozen=True)
class Period(Score):
    """The period of two of the noise, which gradients through strides of two leave."""

    name: ClassVar[str] = "period"

    def measure(self, image: Pixels, answers: Answers) -> float:  # noqa: ARG002
        from rsparse.core.noise import period_two

        return period_two(image)


@dataclass(frozen=True)
class Color(Score):
    """The noise in colour in the flattest parts of an image, in grey levels."""

    name: ClassVar[str] = "color"
    is_level: ClassVar[bool] = True

    def measure(self, image: Pixels, answers: Answers) -> float:  # noqa: ARG002
        from rsparse.core.noise import color_noise

        return color_noise(image)
