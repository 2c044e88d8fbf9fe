"""Classifiers behind a defense, on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rsparse.defended.images import DefendedImages, PreparedImage
from rsparse.defended.treatment import Treatment
from rsparse.defended.verdict import Verdict
from rsparse.defenses import Defense, Resources
from rsparse.errors import InputError, for_usable
from rsparse.models.fit import Fit
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.placed import place
from rsparse.models.resize import fit_pixels
from rsparse.work.device import CPU, Device

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels

FittedImages = tuple["Pixels", ...]
"""A clean image at the input size of each classifier."""


class TimedVerdicts(NamedTuple):
    """The verdict of each classifier on an image, and what the defense did and took in seconds."""

    verdicts: tuple[Verdict, ...]
    seconds: float
    treatment: Treatment


@dataclass(frozen=True)
class Preparation:
    """The part of the work that runs on the CPU cores.

    It holds no classifier, so it is small to send to other processes.

    Attributes
    ----------
    images : DefendedImages
    fits : tuple of Fit
        How each classifier fits images to its input.
    """

    images: DefendedImages
    fits: tuple[Fit, ...]

    def prepare(self, image: Pixels, mask: Mask | None = None) -> PreparedImage:
        """See ``DefendedClassifier.prepare``."""
        prepared = self.images.prepare(image, mask)
        if self.images.uses_device:
            return prepared
        return prepared._replace(item=self.fitted(prepared.item))

    def fitted(self, image: Pixels) -> FittedImages:
        """Fit a clean image to each classifier's input."""
        by_fit = {fit: fit_pixels(image, fit) for fit in dict.fromkeys(self.fits)}
        return tuple(by_fit[fit] for fit in self.fits)


class DefendedClassifier:
    """Classifiers behind a defense, on a device.

    Many threads or processes may call ``prepare``, but only one may call ``judge``. Instances can
    be pickled.

    Parameters
    ----------
    defense : Defense
    resources : Resources
    classifiers : sequence of Classifier
        All of them receive the same clean images.
    device : Device
    top : int
        Number of classes in a verdict.

    Raises
    ------
    InputError
        If the resources lack what the defense needs.
    """

    def __init__(
        self,
        defense: Defense,
        resources: Resources,
        classifiers: Sequence[Classifier],
        device: Device = CPU,
        top: int = 1,
    ) -> None:
        images = DefendedImages(defense, resources, device)
        self.preparation = Preparation(images, tuple(each.spec.fit for each in classifiers))
        self.classifiers = tuple(place(classifier, device) for classifier in classifiers)
        self.device = device
        self.top = top

    def prepare(self, image: Pixels, mask: Mask | None = None) -> PreparedImage:
        """Do the CPU's part of the work for one image, (h, w, 3) uint8.

        If this already cleans the image, it is also resized for the classifiers.

        Raises
        ------
        InputError
            If the image is too small or too large for the defense.
        """
        return self.preparation.prepare(image, mask)

    def judge(self, batch: Sequence[PreparedImage]) -> list[TimedVerdicts | InputError]:
        """Finish cleaning a batch and classify it; an ``InputError`` for each image that failed."""
        images, fit = self.preparation.images, self.preparation.fitted
        if images.uses_device:
            cleaned = images.finish(batch)
            fitted = for_usable(lambda some: [*map(fit, some)], [c.pixels for c in cleaned])
            told = [(each.seconds, each.treatment) for each in cleaned]
        else:
            fitted = [each.item for each in batch]
            told = [(each.seconds, each.treatment) for each in batch]
        verdicts = for_usable(self._verdicts, fitted)
        return [_told(verdict, *each) for verdict, each in zip(verdicts, told, strict=True)]

    def predict(self, images: Sequence[Pixels]) -> list[tuple[Verdict, ...]]:
        """Return the verdict of each classifier on each image, (h, w, 3) uint8 of any size.

        Raises
        ------
        InputError
            If an image cannot be cleaned or classified.
        """
        predictions = []
        for judged in self.judge([self.prepare(image) for image in images]):
            if isinstance(judged, InputError):
                raise judged
            predictions.append(judged.verdicts)
        return predictions

    def _verdicts(self, images: Sequence[FittedImages]) -> list[tuple[Verdict, ...]]:
        scores = [
            classifier.logits([fitted[number] for fitted in images])
            for number, classifier in enumerate(self.classifiers)
        ]
        return [
            tuple(
                Verdict.of(logits, self.top, probabilities_of=placed.classifier.probabilities_of)
                for placed, logits in zip(self.classifiers, of_image, strict=True)
            )
            for of_image in zip(*scores, strict=True)
        ]


def _told(
    verdicts: tuple[Verdict, ...] | InputError, seconds: float, treatment: Treatment | None
) -> TimedVerdicts | InputError:
    if isinstance(verdicts, InputError):
        return verdicts
    assert treatment is not None  # it is missing only where cleaning failed
    return TimedVerdicts(verdicts, seconds, treatment)
