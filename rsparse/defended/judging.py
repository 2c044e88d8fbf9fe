"""How a run over image files is judged: behind a defense, by classifiers, on a device.

The purified pixels are not written. They are uint8, so the predictions are those of the images
that ``rsparse purify`` would write on the same device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rsparse.defended.classifier import DefendedClassifier, Judged, Preparation
from rsparse.defended.images import DefendedImages, Prepared
from rsparse.defenses import Defense, Resources
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.store.images import ImageFile
from rsparse.store.journal import Entry
from rsparse.store.records import Source
from rsparse.work.device import CPU, Device
from rsparse.work.runs import load_image
from rsparse.work.steps import ImageStep


@dataclass(frozen=True)
class Judging:
    """What is the same for all images that are judged: what the defenses need, and the device.

    Attributes
    ----------
    resources : Resources
    dictionaries : mapping of str to Source
        The resources' dictionaries as inputs of a record.
    device : Device
        Where it takes no images the cores judge, through onnxruntime.
    """

    resources: Resources
    dictionaries: Mapping[str, Source]
    device: Device = CPU

    def images(self, defense: Defense) -> DefendedImages:
        """Images behind a defense."""
        return DefendedImages(defense, self.resources, self.device)

    def classifier(self, defense: Defense, judges: Sequence[Classifier]) -> DefendedClassifier:
        """Classifiers behind a defense."""
        return DefendedClassifier(defense, self.resources, judges, self.device)


class Loaded(NamedTuple):
    """An image that is prepared to be judged, and its file's digest."""

    image: ImageFile
    digest: str
    prepared: Prepared


class JudgedImage(NamedTuple):
    """An image with what was found."""

    image: ImageFile
    digest: str
    judged: Judged


@dataclass(frozen=True)
class LoadToJudge:
    """Reads an image, and prepares it to be judged."""

    preparation: Preparation

    def __call__(self, image: ImageFile) -> Loaded:
        pixels, digest = load_image(image)
        return Loaded(image, digest, self.preparation.prepare(pixels))


@dataclass(frozen=True)
class JudgeStep(ImageStep[Loaded, JudgedImage]):
    """Judges an image: ``classes`` and ``probabilities`` of its entry hold a list by classifier.

    Attributes
    ----------
    classifier : DefendedClassifier
    loads_in_processes : bool
    """

    classifier: DefendedClassifier
    loads_in_processes: bool = True

    @property
    def device(self) -> Device:
        return self.classifier.device

    def load(self, image: ImageFile) -> Loaded:
        return self.loader()(image)

    def loader(self) -> LoadToJudge:
        """It carries no classifier."""
        return LoadToJudge(self.classifier.preparation)

    def work(self, batch: Sequence[Loaded]) -> list[JudgedImage | InputError]:
        found = self.classifier.judge([item.prepared for item in batch])
        return [
            judged
            if isinstance(judged, InputError)
            else JudgedImage(item.image, item.digest, judged)
            for item, judged in zip(batch, found, strict=True)
        ]

    def save(self, made: JudgedImage) -> Entry:
        """What the journal holds of an image: nothing else is written."""
        verdicts = made.judged.verdicts
        return {
            "name": made.image.name,
            "source_sha256": made.digest,
            "classes": [list(verdict.classes) for verdict in verdicts],
            "probabilities": [list(verdict.probabilities) for verdict in verdicts],
            "seconds": made.judged.seconds,
        }
