"""Attack photographs so that the classifier is wrong and ``rsparse detect`` finds nothing.

    python -m studies.evasion --shared ../shared --work bench-work/detection

This runs after ``studies.detection``, whose reference with the classifier it takes from the work
folder. The attacker knows the detector and its reference, and lowers all scores at once:

- the change is kept out of the flattest parts, in which noise is measured;
- it is equal in the three channels, so that there is no noise in colour;
- it is the mean of 2×2 neighbours, so that even and odd pixels change alike;
- its gradient is that of several views together, which then agree on the wrong class. JPEG and the
  median count as the identity in the backward pass (BPDA, Athalye et al. 2018). A penalty keeps the
  logits from moving when the image is compressed.

An image is done as soon as its 8-bit pixels fool the classifier and are not detected at 5 % false
alarms. The result is docs/detection/evasion.csv.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rsparse.core.conformal import Reference
from rsparse.core.noise import flattest
from rsparse.defenses import Resources
from rsparse.defenses.compression import Jpeg
from rsparse.defenses.smoothing import FeatureSqueezing
from rsparse.detection.detector import Detector
from rsparse.detection.registry import parse_scores
from rsparse.detection.views import Shifted
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.torch.twin import load_twin
from rsparse.options.detect import DetectParameters
from rsparse.store.reference_scores import load_reference
from studies.detection import Pixels, classifier_of, options_of, right_photographs
from studies.tables import Row, write_rows

EPS = (2, 4)
PHOTOGRAPHS = 8
STEPS = 40
_CHECK_EVERY = 4
_SPARED = 0.06  # share of windows left alone; the noise is measured in a third of these
_SWING = 0.02  # weight of the penalty
_EXACT = 3  # views that are differentiated exactly; the image as it is comes first
_STRAIGHT_THROUGH = (Jpeg(quality=75), FeatureSqueezing())
_LEVEL = DetectParameters().false_alarms


class Knowledge(NamedTuple):
    """What the attacker knows: the classifier, its twin, the detector and the reference."""

    classifier: Classifier
    twin: torch.nn.Module
    detector: Detector
    reference: Reference

    def is_wrong(self, image: Pixels, label: int) -> bool:
        """Whether the classifier gets an image wrong."""
        return int(self.classifier.logits([image]).argmax()) != label

    def is_found(self, image: Pixels) -> bool:
        """Whether the detector finds an image."""
        scores = np.array([self.detector.measure(self.detector.prepare(image))])
        return bool(self.reference.unusualness(scores).p_value[0] <= _LEVEL)


def main() -> None:
    options = options_of(__doc__)
    torch.set_num_threads(1)
    stored, _ = load_reference(options.work / "reference-model.h5")
    classifier = classifier_of(options.shared)
    knowledge = Knowledge(
        classifier,
        load_twin(classifier),
        Detector(parse_scores(stored.columns), Resources(), classifier, classifier.spec.fit),
        Reference(stored.scores),
    )
    given = list(right_photographs(options.shared, PHOTOGRAPHS))
    rows: list[Row] = []
    for eps in EPS:
        wrong = found = unnoticed = 0
        for _, image, label in given:
            attacked = evading(image, label, eps, knowledge)
            assert np.abs(attacked.astype(int) - image).max() <= eps
            is_wrong = knowledge.is_wrong(attacked, label)
            is_found = knowledge.is_found(attacked)
            wrong, found = wrong + is_wrong, found + (is_wrong and is_found)
            unnoticed += is_wrong and not is_found
        rows.append({
            "eps": str(eps), "photographs": str(len(given)), "wrong": str(wrong),
            "found": str(found), "unnoticed": str(unnoticed),
        })  # fmt: skip
        write_rows(options.output / "evasion.csv", rows)
        print(rows[-1], flush=True)


def evading(image: Pixels, label: int, eps: int, known: Knowledge) -> Pixels:
    """The first attacked image that is wrong and not found, else the last one."""
    x = torch.from_numpy(image).permute(2, 0, 1).float()
    target = runner_up(image, label, known.classifier)
    free = torch.from_numpy(~flattest(image, _SPARED)).float()
    u = torch.zeros(1, 1, *image.shape[:2])
    attacked = image
    for step in range(1, STEPS + 1):
        u.requires_grad_(True)
        change = free * _mean_of_four(u)[0]
        loss = _loss((x + change).clip(0, 255), target, known)
        (gradient,) = torch.autograd.grad(loss, u)
        with torch.no_grad():
            u = (u - eps / 4 * gradient.sign()).clip(-eps, eps)
            y = (x + free * _mean_of_four(u)[0]).clip(0, 255).round()
        attacked = y.permute(1, 2, 0).numpy().astype(np.uint8)
        due = step % _CHECK_EVERY == 0
        if due and known.is_wrong(attacked, label) and not known.is_found(attacked):
            break
    return attacked


def runner_up(image: Pixels, label: int, classifier: Classifier) -> int:
    """The most probable class but the right one."""
    logits = classifier.logits([image])[0].copy()
    logits[label] = -np.inf
    return int(logits.argmax())


def _mean_of_four(u: torch.Tensor) -> torch.Tensor:
    """The mean of each pixel and its neighbours to the right and below."""
    return torch.nn.functional.avg_pool2d(torch.nn.functional.pad(u, (0, 1, 0, 1)), 2, stride=1)


def _loss(y: torch.Tensor, target: int, known: Knowledge) -> torch.Tensor:
    """Cross-entropy of the target in all views, and the change of the logits by compression."""
    logits = known.twin(torch.stack(list(_views(y))) / 255)
    wanted = torch.full((len(logits),), target)
    centred = logits - logits.mean(dim=1, keepdim=True)
    swing = (centred[0] - centred[_EXACT]).square().mean()
    return torch.nn.functional.cross_entropy(logits, wanted) + _SWING * swing


def _views(y: torch.Tensor) -> Iterator[torch.Tensor]:
    """Views of the image (3, h, w), in grey levels, that can be differentiated."""
    yield y
    yield y.flip(2)
    yield y.roll((Shifted().rows, Shifted().columns), (1, 2))
    pixels = _pixels(y)
    for view in _STRAIGHT_THROUGH:
        cleaned = torch.from_numpy(view.clean(pixels, Resources())).permute(2, 0, 1).float()
        yield y + (cleaned - y).detach()


def _pixels(y: torch.Tensor) -> NDArray[np.uint8]:
    return np.ascontiguousarray(y.detach().permute(1, 2, 0).round().numpy().astype(np.uint8))


if __name__ == "__main__":
    main()
