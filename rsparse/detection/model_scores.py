"""Define scores of a classifier's answers, which change more where an attack has made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.defenses import Defense, NoDefense, RegionSparse
from rsparse.defenses.compression import BitDepth, Jpeg
from rsparse.defenses.smoothing import FeatureSqueezing, NonLocalMeans
from rsparse.detection.score import Answer, Answers, Score
from rsparse.detection.views import Mirrored, Noisy, Shifted
from rsparse.options.fields import parameter

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Pixels

_AS_IT_IS = NoDefense()


def _distance(one: Answer, other: Answer) -> float:
    """The L1 distance of the probabilities, from 0 to 2 if they add up to 1."""
    return float(abs(one.probabilities.astype("float64") - other.probabilities).sum())


@dataclass(frozen=True)
class Instability(Score):
    """The mean L1 distance of a classifier's answers before and after changes that change little.

    The changes are a mirror image, a shift, JPEG compression of quality 75, a 2×2 median, and
    Gaussian noise of 6 grey levels. An attack of least change stops where a wrong class has only
    just won, and loses by any of them.
    """

    name: ClassVar[str] = "instability"

    @property
    def views(self) -> tuple[Defense, ...]:
        return _AS_IT_IS, Mirrored(), Shifted(), Jpeg(quality=75), FeatureSqueezing(), Noisy()

    def measure(self, image: Pixels, answers: Answers) -> float:  # noqa: ARG002
        before, *after = (answers[view] for view in self.views)
        return sum(_distance(before, answer) for answer in after) / len(after)


@dataclass(frozen=True)
class Swing(Score):
    """The largest change of a logit by JPEG compression, relative to the mean logit.

    Attacks in several steps drive the logit of a wrong class far up, and compression takes much of
    this back, even where the wrong class still wins and its probability hardly changes.
    """

    name: ClassVar[str] = "swing"

    quality: int = parameter(75, "Quality of the compression.", minimum=1, maximum=100)

    @property
    def views(self) -> tuple[Defense, ...]:
        return _AS_IT_IS, Jpeg(quality=self.quality)

    def measure(self, image: Pixels, answers: Answers) -> float:  # noqa: ARG002
        before, after = (answers[view].logits.astype("float64") for view in self.views)
        return float(abs((before - before.mean()) - (after - after.mean())).max())


@dataclass(frozen=True)
class Disagreement(Score):
    """The L1 distance of a classifier's answers before and after sparse coding.

    The whole image is filtered and coded.
    """

    name: ClassVar[str] = "disagreement"

    sparsity: int = parameter(5, "Atoms K per patch.", minimum=1, maximum=1024)
    stride: int = parameter(8, "Distance of neighbouring patches.", minimum=1, maximum=64)
    prefilter: bool = parameter(True, "Apply the bilateral filter before coding.")

    @property
    def views(self) -> tuple[Defense, ...]:
        coded = RegionSparse(
            sparsity=self.sparsity, stride=self.stride, prefilter=self.prefilter, localize=False
        )
        return _AS_IT_IS, coded

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
        return _AS_IT_IS, BitDepth(bits=5), FeatureSqueezing(), NonLocalMeans(weights="opencv")

    def measure(self, image: Pixels, answers: Answers) -> float:  # noqa: ARG002
        before, *squeezed = (answers[view] for view in self.views)
        return max(_distance(before, after) for after in squeezed)
