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


_VIEWS = (Mirrored(), Shifted(), Shifted(rows=-3, columns=1), Jpeg(quality=90), Noisy())
"""Changes that change little. Stronger ones also change the answers on clean images."""


@dataclass(frozen=True)
class Instability(Score):
    """The L1 distance of a classifier's answer from its mean answer after some small changes.

    The changes are a mirror image, two shifts, JPEG compression of quality 90, and Gaussian noise
    of 6 grey levels. An attack of least change stops where a wrong class has only just won, and
    loses by any of them.
    """

    name: ClassVar[str] = "instability"

    @property
    def views(self) -> tuple[Defense, ...]:
        return _AS_IT_IS, *_VIEWS

    def measure(self, image: Pixels, answers: Answers) -> float:  # noqa: ARG002
        import numpy as np

        before, *after = (answers[view].probabilities.astype("float64") for view in self.views)
        return float(abs(before - np.mean(after, axis=0)).sum())


@dataclass(frozen=True)
class Lead(Score):
    """How much of its lead the predicted class loses, on average, by small changes.

    The lead is the distance of its logit from that of its rival: the other class with the largest
    mean logit after the changes, which are those of ``instability``. What an attack has driven up
    falls back, even where the wrong class still wins and its probability hardly changes.
    """

    name: ClassVar[str] = "lead"

    @property
    def views(self) -> tuple[Defense, ...]:
        return _AS_IT_IS, *_VIEWS

    def measure(self, image: Pixels, answers: Answers) -> float:  # noqa: ARG002
        import numpy as np

        before, *after = (answers[view].logits.astype("float64") for view in self.views)
        mean = np.mean(after, axis=0)
        predicted = int(before.argmax())
        others = mean.copy()
        others[predicted] = float("-inf")
        rival = int(others.argmax()) if len(mean) > 1 else predicted
        return float((before - mean)[predicted] - (before - mean)[rival])


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
