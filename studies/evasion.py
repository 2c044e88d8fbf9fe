"""Attack photographs so that the classifier is wrong and ``rsparse detect`` finds nothing.

    python -m studies.evasion --shared ../shared --work bench-work/detection

This runs after ``studies.detection``, whose reference with the classifier it takes from the work
folder. The attacker knows the detector and its reference, and lowers all scores at once:

- the change is kept out of the flattest parts, in which noise is measured;
- it is equal in the three channels, so that there is no noise in colour;
- it is the mean of 2×2 neighbours, so that even and odd pixels change alike;
- its gradient is that of several views together, which then agree on the wrong class. JPEG counts
  as the identity in the backward pass (BPDA, Athalye et al. 2018). A penalty keeps
  the class from losing its lead in the other views.

An image is done as soon as its 8-bit pixels fool the classifier and are not detected at 5 % false
alarms; it then stands for the larger changes, too. The result is docs/detection/evasion.csv. The
work folder keeps the attacked images; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from operator import and_
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rsparse.core.conformal import Reference
from rsparse.core.noise import flattest
from rsparse.defenses import Resources
from rsparse.defenses.compression import Jpeg
from rsparse.detection.detector import Detector
from rsparse.detection.registry import parse_scores
from rsparse.detection.views import Noisy, Shifted
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.torch.twin import load_twin
from rsparse.options.detect import DetectParameters
from rsparse.store.files import write_atomic
from rsparse.store.images import decode_image, encode_png
from rsparse.store.reference_scores import load_reference
from studies.detection import TRAIN
from studies.tables import Row, write_rows
from studies.watched import Pixels, classifier_of, options_of, right_photographs

EPS = (1, 2, 4)
PHOTOGRAPHS = 16
STEPS = 40
_CHECK_EVERY = 4
_SPARED = 0.06  # share of windows left alone; the noise is measured in a third of these
_LEAD = 0.02  # weight of the penalty
_SHIFTS = (Shifted(), Shifted(rows=-3, columns=1))
_STRAIGHT_THROUGH = (Jpeg(quality=90), Noisy())
_DETECT = DetectParameters()


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
        levels = [_DETECT.tolerance if score.is_level else 1.0 for score in self.detector.scores]
        scores = np.array([self.detector.measure(self.detector.prepare(image))]) / levels
        return bool(self.reference.unusualness(scores).p_value[0] <= _DETECT.false_alarms)


def main() -> None:
    options = options_of(__doc__)
    torch.set_num_threads(1)
    known = knowledge(options)
    attacked = {
        name: (label, made_images(options.work / "evasion" / name, image, label, known))
        for name, image, label in right_photographs(options.shared, PHOTOGRAPHS)
    }
    rows: list[Row] = []
    for place, eps in enumerate(EPS):
        images = [(made[place], label) for label, made in attacked.values()]
        wrong = [known.is_wrong(image, label) for image, label in images]
        found = [known.is_found(image) for image, _ in images]
        both = sum(map(and_, wrong, found))
        rows.append({
            "eps": str(eps), "photographs": str(len(images)), "wrong": str(sum(wrong)),
            "found": str(both), "unnoticed": str(sum(wrong) - both),
        })  # fmt: skip
        print(rows[-1], flush=True)
    write_rows(options.output / "evasion.csv", rows)


def knowledge(options: argparse.Namespace) -> Knowledge:
    """The detector whose reference is of ``train/``."""
    stored, _ = load_reference(options.work / f"reference-model-{TRAIN}.h5")
    classifier = classifier_of(options.shared)
    scores = parse_scores(stored.columns)
    detector = Detector(scores, Resources(), classifier, classifier.spec.fit)
    return Knowledge(classifier, load_twin(classifier), detector, Reference(stored.scores))


def made_images(folder: Path, image: Pixels, label: int, known: Knowledge) -> list[Pixels]:
    """An attacked image for each of ``EPS``; where one evades, it stands for the larger ones."""
    folder.mkdir(parents=True, exist_ok=True)
    images: list[Pixels] = []
    evades = False
    for eps in EPS:
        path = folder / f"{eps}.png"
        if not path.exists():
            attacked = images[-1] if evades else evading(image, label, eps, known)
            write_atomic(path, encode_png(attacked))
            print(path, flush=True)
        images.append(decode_image(path.read_bytes(), path))
        assert np.abs(images[-1].astype(int) - image).max() <= eps
        evades = known.is_wrong(images[-1], label) and not known.is_found(images[-1])
    return images


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
    """Cross-entropy of the target in all views, and what it loses of its lead in the others."""
    logits = known.twin(torch.stack(list(_views(y))) / 255)
    wanted = torch.full((len(logits),), target)
    others = logits.masked_fill(torch.arange(logits.shape[1]) == target, -torch.inf)
    leads = logits[:, target] - others.amax(dim=1)
    lost = (leads[0] - leads[1:].mean()).square()
    return torch.nn.functional.cross_entropy(logits, wanted) + _LEAD * lost


def _views(y: torch.Tensor) -> Iterator[torch.Tensor]:
    """Views of the image (3, h, w), in grey levels, that can be differentiated; first as it is."""
    yield y
    yield y.flip(2)
    for shift in _SHIFTS:
        yield y.roll((shift.rows, shift.columns), (1, 2))
    pixels = _pixels(y)
    for view in _STRAIGHT_THROUGH:
        cleaned = torch.from_numpy(view.clean(pixels, Resources())).permute(2, 0, 1).float()
        yield y + (cleaned - y).detach()


def _pixels(y: torch.Tensor) -> NDArray[np.uint8]:
    return np.ascontiguousarray(y.detach().permute(1, 2, 0).round().numpy().astype(np.uint8))


if __name__ == "__main__":
    main()
