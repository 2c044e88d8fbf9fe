"""Measure the scores of images, on CPU cores or with the classifier on a device."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from rsparse.defenses import Defense, Resources
from rsparse.detection.score import Answer, Answers, Score
from rsparse.errors import InputError
from rsparse.models.fit import Fit
from rsparse.models.placed import place
from rsparse.models.resize import fit_pixels
from rsparse.work.device import CPU, Device

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Pixels
    from rsparse.models.onnx.classifier import Classifier


class ViewedImage(NamedTuple):
    """An image, and the clean versions of it that a classifier has to answer on."""

    image: Pixels
    views: tuple[Pixels, ...]


@dataclass(frozen=True)
class Detector:
    """Scores, and what they need. Instances can be pickled.

    Attributes
    ----------
    scores : tuple of Score
    resources : Resources
        For the defenses behind which the classifier answers.
    classifier : Classifier, optional
    fit : Fit, optional
        How images are resized first. With a classifier, it is that of its input.
    device : Device
        Where the classifier runs.

    Raises
    ------
    InputError
        If a score needs a classifier or a dictionary that is missing.
    """

    scores: tuple[Score, ...]
    resources: Resources = field(default_factory=Resources)
    classifier: Classifier | None = None
    fit: Fit | None = None
    device: Device = CPU

    def __post_init__(self) -> None:
        for score in self.scores:
            if score.needs_model and self.classifier is None:
                raise InputError(f"score {score.text}: needs a classifier: --model m.onnx")
            for defense in score.views:
                try:
                    defense.check(self.resources)
                except InputError as error:
                    raise InputError(f"score {score.text}: {error}") from None

    @property
    def views(self) -> tuple[Defense, ...]:
        """The different defenses behind which the classifier answers."""
        return tuple(dict.fromkeys(view for score in self.scores for view in score.views))

    def prepare(self, image: Pixels) -> ViewedImage:
        """Resize an image, uint8 (h, w, 3), and clean it behind each defense.

        Raises
        ------
        InputError
            If the image is too small or too large for a defense.
        """
        if self.fit is not None:
            image = fit_pixels(image, self.fit)
        return ViewedImage(image, tuple(view.clean(image, self.resources) for view in self.views))

    def measure(self, viewed: ViewedImage) -> tuple[float, ...]:
        """Return the scores of an image, in the order of ``scores``.

        Raises
        ------
        InputError
            If the classifier's answer is not usable.
        """
        answers = self._answers(viewed)
        return tuple(score.measure(viewed.image, answers) for score in self.scores)

    def _answers(self, viewed: ViewedImage) -> Answers:
        if self.classifier is None or not viewed.views:
            return {}
        logits = place(self.classifier, self.device).logits(viewed.views)
        probabilities = self.classifier.probabilities_of(logits)
        return dict(zip(self.views, map(Answer, logits, probabilities), strict=True))
