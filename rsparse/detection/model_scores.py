"""Define scores of a classifier's answers, which change more where an attack has made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.defenses import Defense, NoDefense, RegionSparse
from rsparse.defenses.compression import BitDepth, Jpeg
from rsparse.defenses.smoothing import FeatureSqueezing, NonLocalMeans
from rsparse.detection.score import Answers, Score
from rsparse.options.fields import parameter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rsparse.core.regionsparse import Pixels

_AS_IT_IS = NoDefense()


def _distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The L1 distance of two answers, from 0 to 2 for probabilities that add up to 1."""
    return float(abs(one.astype("float64") - other).sum())


@dataclass(frozen=True)
class Disagreement(Score):
    """The L1 distance of a classifier's answers before and after sparse coding.

    The whole image is filtered and coded, as the default policy does with weak attacks.
    """

    name: ClassVar[str] = "disagreement"

    sparsity: int = parameter(5, "Atoms K per patch.", minimum=1, maximum=1024)
    stride: int = parameter(8, "Distance of neighbouring patches.", minimum=1, maximum=64)
    prefilter: bool = parameter(True, "Apply the bilateral filter before coding.")

    @property
    def views(self) -> tuple[Defense, ...]:
        return _AS_IT_IS, self._coded

    @property
    def _coded(self) -> RegionSparse:
        return RegionSparse(
            sparsity=self.sparsity, stride=self.stride, prefilter=self.prefilter, localize=False
        )

    def measure(self, image: Pixels, answers: Answers) -> float:  # noqa: ARG002
        return _distance(answers[_AS_IT_IS], answers[self._coded])


@dataclass(frozen=True)
class Compression(Score):
    """The L1 distance of a classifier's answers before and after JPEG compression."""

    name: ClassVar[str] = "compression"

    quality: int = parameter(20, "Quality of the compression.", minimum=1, maximum=100)

    @property
    def views(self) -> tuple[Defense, ...]:
        return _AS_IT_IS, Jpeg(quality=self.quality)

    def measure(self, image: Pixels, answers: Answers) -> float:  # noqa: ARG002
        return _distance(*(answers[view] for view in self.views))


@dataclass(frozen=True)
class Squeezers(Score):
    """The largest L1 distance of a classifier's answers before and after one of three squeezers.

    References
    ----------
    Xu, Evans, Qi (2018), "Feature squeezing: Detecting adversarial examples in deep neural
    networks": on ImageNet a bit depth of 5, a 2×2 median and non-local means 11-3-4.
    """

    name: ClassVar[str] = "squeezers"

    @property
    def views(self) -> tuple[Defense, ...]:
        return _AS_IT_IS, BitDepth(bits=5), FeatureSqueezing(), NonLocalMeans()

    def measure(self, image: Pixels, answers: Answers) -> float:  # noqa: ARG002
        before, *squeezed = (answers[view] for view in self.views)
        return max(_distance(before, after) for after in squeezed)


@dataclass(frozen=True)
class Doubt(Score):
    """How close a classifier's second class is to its first.

    An attack of least change stops where a wrong class has only just won.
    """

    name: ClassVar[str] = "doubt"

    @property
    def views(self) -> tuple[Defense, ...]:
        return (_AS_IT_IS,)

    def measure(self, image: Pixels, answers: Answers) -> float:  # noqa: ARG002
        second, first = sorted(answers[_AS_IT_IS].tolist())[-2:]
        return second - first
