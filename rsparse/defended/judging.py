"""How images behind a defense are judged: one by one on the cores, or in batches on a GPU.

The purified pixels are not written. They are uint8, so the predictions are those of the images
that ``rsparse purify`` would write on the same device.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse.defended.on_device import OnDevice, Prepared
from rsparse.defenses import Defense, Resources
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier, softmax
from rsparse.store.images import ImageFile, Pixels
from rsparse.store.journal import Entry
from rsparse.store.records import Source
from rsparse.work.device import CPU, Device
from rsparse.work.pipeline import Fed
from rsparse.work.runs import BatchStep, OneByOne, fed, load_image

if TYPE_CHECKING:
    from rsparse.models.torch.twin import Twin

TOGETHER = 32  # images that a GPU judges in one batch


@dataclass(frozen=True)
class Court:
    """What the defenses need, and where it is judged.

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
    _twins: dict[Classifier, Twin] = field(default_factory=dict, repr=False, compare=False)

    def step(
        self, judges: Sequence[Classifier], defense: Defense
    ) -> BatchStep | Fed[ImageFile, Any, Entry]:
        """What ``run_images`` does with the images."""
        resources = _needed(self.resources, defense)
        if not self.device.takes_images:
            return OneByOne(JudgeStep(tuple(judges), defense, resources))
        twins = tuple((judge, self.twin(judge)) for judge in judges)
        cleaning = OnDevice(defense, resources, self.device)
        return fed(Preparing(cleaning), TorchStep(twins, cleaning).judge, TOGETHER)

    def twin(self, judge: Classifier) -> Twin:
        """A judge on the device; it is loaded once."""
        if judge not in self._twins:
            from rsparse.models.torch.twin import load_twin

            self._twins[judge] = load_twin(judge, self.device.torch)
        return self._twins[judge]


@dataclass(frozen=True)
class JudgeStep:
    """Cleans one image in memory and classifies it by every judge."""

    judges: tuple[Classifier, ...]
    defense: Defense
    resources: Resources

    def __call__(self, image: ImageFile) -> Entry:
        pixels, digest = load_image(image)
        start = time.process_time()
        clean = self.defense.clean(pixels, self.resources)
        seconds = time.process_time() - start
        logits = [judge.logits([clean])[0] for judge in self.judges]
        return entry(image, digest, logits, seconds)


class Ready(NamedTuple):
    """An image as the device takes it."""

    image: ImageFile
    digest: str
    prepared: Prepared


@dataclass(frozen=True)
class Preparing:
    """Decodes an image, and cleans it where that is not done on the device."""

    cleaning: OnDevice

    def __call__(self, image: ImageFile) -> Ready:
        pixels, digest = load_image(image)
        return Ready(image, digest, self.cleaning.prepare(pixels))


@dataclass(frozen=True)
class TorchStep:
    """Cleans what is cleaned on the device, and judges; ``judges`` have their twins beside them."""

    judges: tuple[tuple[Classifier, Twin], ...]
    cleaning: OnDevice

    def judge(self, batch: Sequence[Ready]) -> list[Entry | InputError]:
        """The entries of a batch, or why there are none."""
        cleaned = self.cleaning.finish([item.prepared for item in batch])
        logits = iter(self._logits([p for p, _ in cleaned if not isinstance(p, InputError)]))
        return [
            pixels
            if isinstance(pixels, InputError)
            else entry(item.image, item.digest, next(logits), seconds)
            for item, (pixels, seconds) in zip(batch, cleaned, strict=True)
        ]

    def _logits(self, images: Sequence[Pixels]) -> list[list[NDArray[np.float32]]]:
        """For each image what each judge says of it, (n_classes,)."""
        if not images:
            return []
        said = [
            twin.logits([judge.fit_to_input(image) for image in images])
            for judge, twin in self.judges
        ]
        return [list(scores) for scores in zip(*said, strict=True)]


def entry(
    image: ImageFile, digest: str, logits: Sequence[NDArray[np.float32]], seconds: float
) -> Entry:
    """What the journal holds of an image.

    Parameters
    ----------
    image : ImageFile
    digest : str
        Of its file.
    logits : sequence of float32 arrays of shape (n_classes,)
        Of each judge.
    seconds : float
        What the defense took.
    """
    shares = [softmax(scores[None])[0] for scores in logits]
    predicted = [int(share.argmax()) for share in shares]
    return {
        "name": image.name,
        "source_sha256": digest,
        "classes": predicted,
        "probabilities": [float(share[c]) for share, c in zip(shares, predicted, strict=True)],
        "seconds": seconds,
    }


def _needed(resources: Resources, defense: Defense) -> Resources:
    """The resources without the dictionaries that the defense does not use: less to send about."""
    used = {name: resources.dictionaries[name] for name in defense.dictionaries}
    return Resources(used, resources.seed)
