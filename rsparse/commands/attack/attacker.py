"""Attack batches of image files and measure the results.

The batches are fixed before the first attack, so an interrupted and resumed run makes the same
images as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rsparse.attacks.attack import Attack
from rsparse.attacks.backend import one_torch_thread
from rsparse.attacks.scaling import scaled
from rsparse.core.metrics import dissimilarity, l2_distance
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.spec import InputSpec
from rsparse.store.files import sha256_of
from rsparse.store.images import ImageFile, Pixels, decode_image, to_pixels, to_unit
from rsparse.work.workers import chunked

if TYPE_CHECKING:
    import torch

    from rsparse.attacks.running import AttackResult
    from rsparse.commands.attack.through import AttackedDefense


_DEVICE_LOCK = Lock()  # all threads share the GPU and torch's random number generator


@dataclass(frozen=True)
class Target:
    """An image to attack: its file and digest, its size, its label and the model's prediction."""

    image: ImageFile
    digest: str
    size: tuple[int, int]
    label: int
    prediction: int

    @property
    def is_correct(self) -> bool:
        """Whether the model classified the image correctly before the attack."""
        return self.prediction == self.label


@dataclass(frozen=True)
class Batch:
    """Images of one size that are attacked together, and their number in the run."""

    number: int
    targets: tuple[Target, ...]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels, (n,) int64, from which the attack leads the images away."""
        return np.array([target.label for target in self.targets])


@dataclass(frozen=True)
class AttackedImage:
    """One image after the attack: its rounded pixels, its float pixels, and its measurements."""

    target: Target
    pixels: Pixels
    x_adv: NDArray[np.float32]
    measured: dict[str, Any]


def make_batches(targets: Iterable[Target], batch_size: int) -> list[Batch]:
    """Group targets into batches of one image size, sorted by name within a size."""
    by_size: dict[tuple[int, int], list[Target]] = {}
    for target in sorted(targets, key=lambda target: target.image.name):
        by_size.setdefault(target.size, []).append(target)
    groups = [group for size in sorted(by_size) for group in chunked(by_size[size], batch_size)]
    return [Batch(number, tuple(group)) for number, group in enumerate(groups)]


class ModuleFactory(Protocol):
    """Makes the torch module that an attack differentiates; hashable and picklable."""

    def __call__(self, classifier: Classifier, device: str) -> torch.nn.Module:
        """A module in evaluation mode: images (n, 3, h, w) in [0, 1] to logits (n, n_classes)."""

    @property
    def attacked(self) -> AttackedDefense | None:
        """The defense in the module, if any."""


@dataclass(frozen=True)
class BareModel:
    """Makes the classifier as a torch module, for an attacker who does not know the defense."""

    needs_gradients: bool = True

    def __call__(self, classifier: Classifier, device: str) -> torch.nn.Module:
        """Load the twin; or, if no gradients are needed and there is no twin, onnxruntime."""
        from rsparse.attacks.attackable import attackable

        return attackable(classifier, device, self.needs_gradients)

    @property
    def attacked(self) -> AttackedDefense | None:
        """None: the attacker does not know the defense."""
        return None


@dataclass(frozen=True)
class Attacker:
    """Attacks a classifier through the module that ``factory`` makes from it.

    On the CPU it computes with one core, so that sums have the same order on every machine;
    several cores work on one batch each. Its pickle contains the model's path, and a process that
    unpickles it several times loads the model once.
    """

    classifier: Classifier
    device: str
    keep_size: bool
    seed: int
    factory: ModuleFactory = BareModel()

    def __reduce__(self) -> tuple[Any, ...]:
        model = self.classifier
        identity = self.device, self.keep_size, self.seed, self.factory
        return _attacker, (model.path, model.spec, *identity)

    def check(self) -> Attacker:
        """Load the module, so that a model that cannot be attacked is refused at the start."""
        assert self.module is not None
        return self

    @cached_property
    def module(self) -> torch.nn.Module:
        """The module that the attack differentiates."""
        return self.factory(self.classifier, self.device)

    @property
    def engine(self) -> str:
        """What computes the attacked model, for records: a torch device, or onnxruntime."""
        from rsparse.attacks.attackable import RUNTIME
        from rsparse.attacks.backend import has_gradients

        return self.device if has_gradients(self.module) else RUNTIME

    @property
    def batch_size(self) -> int:
        """Default number of images in a batch."""
        from rsparse.attacks.batches import batch_that_fits

        return batch_that_fits(self.module, self.classifier.spec.size, self.device)

    def find_targets(
        self, images: Iterable[ImageFile], labels: Mapping[str, int]
    ) -> tuple[list[Target], list[tuple[ImageFile, InputError]]]:
        """Read and classify images; also return the unreadable ones with their errors.

        An image without a label in ``labels`` gets the model's prediction as its label.
        """
        read, unusable = [], []
        for image in images:
            try:
                content = image.read()
                read.append((image, sha256_of(content), self._fitted(content, image)))
            except InputError as error:
                unusable.append((image, error))
        classes = predictions(self.classifier, [pixels for _, _, pixels in read])
        targets = [
            Target(
                image,
                digest,
                pixels.shape[:2],
                labels.get(image.name, int(predicted)),
                int(predicted),
            )
            for (image, digest, pixels), predicted in zip(read, classes, strict=True)
        ]
        return targets, unusable

    def run(self, batch: Batch, attack: Attack) -> AttackResult:
        """Attack a batch; its random numbers depend only on the seed and the batch number."""
        from rsparse.attacks.running import run_attack

        seed = int(np.random.SeedSequence([self.seed, batch.number]).generate_state(1)[0])
        x = to_unit(self.load(batch))
        with _DEVICE_LOCK, one_torch_thread():
            return run_attack(self.module, x, batch.labels, attack, seed)

    def load(self, batch: Batch) -> Pixels:
        """The batch's benign images before the attack, (n, h, w, 3) uint8."""
        images = []
        for target in batch.targets:
            content = target.image.read()
            if sha256_of(content) != target.digest:
                raise InputError(f"{target.image.path}: changed during the run")
            images.append(self._fitted(content, target.image))
        return np.stack(images)

    def _fitted(self, content: bytes, image: ImageFile) -> Pixels:
        """The image to attack, resized to the model's input unless ``keep_size`` is set."""
        pixels = decode_image(content, image.path)
        return pixels if self.keep_size else self.classifier.fit_to_input(pixels)

    def pairs(
        self, batch: Batch, result: AttackResult
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Original and adversarial float images that count towards the average dissimilarity.

        Images that were misclassified before the attack, or for which the attack found nothing, do
        not count: their change does not depend on the attack's strength.
        """
        x = to_unit(self.load(batch))
        for i, target in enumerate(batch.targets):
            if target.is_correct and not result.failed[i]:
                yield x[i], result.x_adv[i]

    def measure(self, batch: Batch, result: AttackResult, tau: float) -> list[AttackedImage]:
        """Scale and clip the result, round it to 8 bits, and classify both versions."""
        pixels = self.load(batch)
        x = to_unit(pixels)
        x_adv = scaled(x, result.x_adv, tau)
        rounded = to_pixels(x_adv)
        benign = np.array([target.prediction for target in batch.targets])
        after = self._predicted(rounded, pixels, benign)
        before = self._predicted(x_adv, to_unit(rounded), after)
        defended = self._defended(pixels, rounded, [t.label for t in batch.targets])
        d = dissimilarity(x, to_unit(rounded))
        l2 = l2_distance(x, to_unit(rounded))
        linf = np.abs(rounded.astype(np.int64) - pixels).max(axis=(1, 2, 3))
        return [
            AttackedImage(
                target,
                rounded[i],
                x_adv[i],
                {
                    "label": target.label,
                    "prediction_before": target.prediction,
                    "prediction_float": int(before[i]),
                    "prediction": int(after[i]),
                    "success_float": bool(before[i] != target.label),
                    "success": bool(after[i] != target.label),
                    "nothing_found": bool(result.failed[i]),
                    "linf": int(linf[i]),
                    "l2": round(float(l2[i]), 6),
                    "d": round(float(d[i]), 6) if np.isfinite(d[i]) else None,
                    "tau": tau,
                    **_reached(result, i, int(after[i])),
                    **({} if result.notes is None else {"notes": result.notes[i]}),
                    **defended[i],
                },
            )
            for i, target in enumerate(batch.targets)
        ]

    def _defended(
        self, benign: Pixels, adversarial: Pixels, labels: Sequence[int]
    ) -> list[dict[str, Any]]:
        """Classes of images behind the attacked defense, before and after; empty without one."""
        attacked = self.factory.attacked
        if attacked is None:
            return [{}] * len(labels)
        before, after = (
            predictions(self.classifier, [attacked.clean(image) for image in images])
            for images in (benign, adversarial)
        )
        return [
            {
                "defended_before": int(first),
                "defended": int(last),
                "success_defended": bool(last != label),
            }
            for first, last, label in zip(before, after, labels, strict=True)
        ]

    def _predicted(
        self, images: NDArray[Any], others: NDArray[Any], known: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Classes of ``images``, (n,); an image equal to that in ``others`` takes its ``known``."""
        differ = (images != others).any(axis=(1, 2, 3))
        classes = known.copy()
        classes[differ] = predictions(self.classifier, images[differ])
        return classes


def _reached(result: AttackResult, i: int, predicted: int) -> dict[str, Any]:
    """The target class of an image and whether it was reached; empty without a target."""
    if result.targets is None:
        return {}
    target = int(result.targets[i])
    return {"target": target, "target_reached": predicted == target}


@dataclass(frozen=True)
class FindTargets:
    """A picklable call of ``Attacker.find_targets`` with the known labels."""

    attacker: Attacker
    labels: Mapping[str, int]

    def __call__(
        self, images: Sequence[ImageFile]
    ) -> tuple[list[Target], list[tuple[ImageFile, InputError]]]:
        return self.attacker.find_targets(images, self.labels)


@lru_cache(maxsize=1)
def _attacker(
    path: Path, spec: InputSpec, device: str, keep_size: bool, seed: int, factory: ModuleFactory
) -> Attacker:
    return Attacker(Classifier(path, spec), device, keep_size, seed, factory)


def predictions(
    classifier: Classifier, images: Sequence[Pixels] | NDArray[Any]
) -> NDArray[np.int64]:
    """The most probable class of each image, (n,)."""
    if len(images) == 0:
        return np.zeros(0, dtype=np.int64)
    return classifier.logits(list(images)).argmax(axis=1)
