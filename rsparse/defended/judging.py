"""Classify image files behind a defense, on a device.

The purified pixels are not written. Since they are uint8, the predictions are the same as for the
images that ``rsparse purify`` would write on the same device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rsparse.defended.classifier import DefendedClassifier, Preparation, TimedVerdicts
from rsparse.defended.images import DefendedImages, PreparedImage
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
class JudgingSetup:
    """What all defenses and classifiers of an evaluation share.

    Attributes
    ----------
    resources : Resources
    dictionaries : mapping of str to Source
        The source of each dictionary, for records.
    device : Device
        If it does not process images, the CPU cores classify them with onnxruntime.
    """

    resources: Resources
    dictionaries: Mapping[str, Source]
    device: Device = CPU

    def images(self, defense: Defense) -> DefendedImages:
        """Return ``DefendedImages`` for a defense."""
        return DefendedImages(defense, self.resources, self.device)

    def classifier(self, defense: Defense, judges: Sequence[Classifier]) -> DefendedClassifier:
        """Put classifiers behind a defense."""
        return DefendedClassifier(defense, self.resources, judges, self.device)


class LoadedImage(NamedTuple):
    """An image prepared for classification, and the digest of its file."""

    image: ImageFile
    digest: str
    prepared: PreparedImage


class JudgedImage(NamedTuple):
    """An image file with the verdicts on it."""

    image: ImageFile
    digest: str
    judged: TimedVerdicts


@dataclass(frozen=True)
class LoadAndPrepare:
    """Reads an image and prepares it for classification."""

    preparation: Preparation

    def __call__(self, image: ImageFile) -> LoadedImage:
        pixels, digest = load_image(image)
        return LoadedImage(image, digest, self.preparation.prepare(pixels))


@dataclass(frozen=True)
class JudgeStep(ImageStep[LoadedImage, JudgedImage]):
    """Classifies an image.

    In its journal entry, ``classes`` and ``probabilities`` hold one list for each classifier.

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

    def load(self, image: ImageFile) -> LoadedImage:
        return self.loader()(image)

    def loader(self) -> LoadAndPrepare:
        """Return ``load`` without the classifiers, which is smaller to send to processes."""
        return LoadAndPrepare(self.classifier.preparation)

    def work(self, batch: Sequence[LoadedImage]) -> list[JudgedImage | InputError]:
        results = self.classifier.judge([item.prepared for item in batch])
        return [
            judged
            if isinstance(judged, InputError)
            else JudgedImage(item.image, item.digest, judged)
            for item, judged in zip(batch, results, strict=True)
        ]

    def save(self, made: JudgedImage) -> Entry:
        """Return the image's journal entry; no file is written."""
        verdicts = made.judged.verdicts
        return {
            "name": made.image.name,
            "source_sha256": made.digest,
            "classes": [list(verdict.classes) for verdict in verdicts],
            "probabilities": [list(verdict.probabilities) for verdict in verdicts],
            "seconds": made.judged.seconds,
            "done": made.judged.treatment.text,
            "psnr": made.judged.treatment.as_json()["psnr"],
        }
