"""Classifiers behind a defense, on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rsparse.defended.images import DefendedImages, Prepared
from rsparse.defended.verdict import Verdict
from rsparse.defenses import Defense, Resources
from rsparse.errors import InputError, for_usable
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.resize import fit_pixels
from rsparse.work.device import CPU, Device

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels

Fitted = tuple["Pixels", ...]
"""A clean image as each classifier sees it."""

Size = tuple[int, int]


class Judged(NamedTuple):
    """The verdict of each classifier on an image, and the seconds that the defense took."""

    verdicts: tuple[Verdict, ...]
    seconds: float


@dataclass(frozen=True)
class Preparation:
    """What the cores do for an image, before classifiers with inputs of these heights and widths.

    It carries no classifier, so that it is small to send to other processes.
    """

    images: DefendedImages
    sizes: tuple[Size, ...]

    def prepare(self, image: Pixels, mask: Mask | None = None) -> Prepared:
        """See ``DefendedClassifier.prepare``."""
        prepared = self.images.prepare(image, mask)
        if self.images.uses_device:
            return prepared
        return prepared._replace(item=self.fitted(prepared.item))

    def fitted(self, image: Pixels) -> Fitted:
        """A clean image at each input size."""
        by_size = {size: fit_pixels(image, size) for size in dict.fromkeys(self.sizes)}
        return tuple(by_size[size] for size in self.sizes)


class DefendedClassifier:
    """Classifiers that see images behind a defense, on a device.

    ``prepare`` may be called by many threads or processes, ``judge`` by one. It can be pickled.

    Parameters
    ----------
    defense : Defense
    resources : Resources
    classifiers : sequence of Classifier
        They share the cleaning.
    device : Device
    top : int
        Classes in a verdict.

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
        self.preparation = Preparation(images, tuple(each.spec.size for each in classifiers))
        self.classifiers = tuple(classifier.on(device) for classifier in classifiers)
        self.device = device
        self.top = top

    def prepare(self, image: Pixels, mask: Mask | None = None) -> Prepared:
        """Do what the cores have to do for an image, (h, w, 3) uint8.

        An image that is clean then is also fitted to the classifiers' inputs.

        Raises
        ------
        InputError
            If the image is too small or too large for the defense.
        """
        return self.preparation.prepare(image, mask)

    def judge(self, batch: Sequence[Prepared]) -> list[Judged | InputError]:
        """Clean what is not clean yet, and classify; for an image, why that was not possible."""
        images, fit = self.preparation.images, self.preparation.fitted
        if images.uses_device:
            cleaned = images.finish(batch)
            fitted = for_usable(lambda some: [*map(fit, some)], [c.pixels for c in cleaned])
            seconds = [each.seconds for each in cleaned]
        else:
            fitted, seconds = [each.item for each in batch], [each.seconds for each in batch]
        verdicts = for_usable(self._verdicts, fitted)
        return [
            found if isinstance(found, InputError) else Judged(found, each)
            for found, each in zip(verdicts, seconds, strict=True)
        ]

    def predict(self, images: Sequence[Pixels]) -> list[tuple[Verdict, ...]]:
        """For each of some images (h, w, 3) uint8 of any sizes, the verdict of each classifier.

        Raises
        ------
        InputError
            If one of them cannot be cleaned or classified.
        """
        found = []
        for judged in self.judge([self.prepare(image) for image in images]):
            if isinstance(judged, InputError):
                raise judged
            found.append(judged.verdicts)
        return found

    def _verdicts(self, images: Sequence[Fitted]) -> list[tuple[Verdict, ...]]:
        scores = [
            classifier.logits([fitted[number] for fitted in images])
            for number, classifier in enumerate(self.classifiers)
        ]
        return [
            tuple(Verdict.of(logits, self.top) for logits in of_image)
            for of_image in zip(*scores, strict=True)
        ]
