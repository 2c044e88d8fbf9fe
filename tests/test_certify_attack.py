"""An attacker who knows the noise and the denoiser cannot leave the certified radius' class."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.core.smoothing import ABSTAIN, certify, noise_block
from rsparse.data import demo_model, demo_photos
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image, to_unit

torch = pytest.importorskip("torch")

SIGMA, ALPHA = 0.12, 0.001


def counts_at(classifier: Classifier, x: np.ndarray, phase: int, n: int) -> np.ndarray:
    """How often the classifier gives each class to noisy versions of an image."""
    counts = np.zeros(classifier.n_classes, np.int64)
    for block in range(-(-n // 100)):
        size = min(100, n - 100 * block)
        noise = noise_block(0, "1", phase, block, size, x.shape)
        noisy = [x + np.float32(SIGMA) * each for each in noise]
        counts += np.bincount(
            classifier.logits(noisy).argmax(axis=1), minlength=classifier.n_classes
        )
    return counts


def attacked(classifier: Classifier, x: np.ndarray, label: int, radius: float) -> np.ndarray:
    """EOT-PGD in L2: steps along the mean gradient of the margin over draws of the noise."""
    from rsparse.models.torch.twin import load_twin

    twin = load_twin(classifier)
    generator = torch.Generator().manual_seed(0)
    start = torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))[None]
    change = torch.zeros_like(start)
    for _ in range(12):
        change.requires_grad_()
        noise = SIGMA * torch.randn((6, *start.shape[1:]), generator=generator)
        logits = twin(start + change + noise)
        others = logits.clone()
        others[:, label] = -torch.inf
        margin = (logits[:, label] - others.max(1).values).mean()
        (gradient,) = torch.autograd.grad(margin, change)
        with torch.no_grad():
            change = change - radius / 4 * gradient / gradient.norm().clamp(min=1e-12)
            change = change * min(1.0, 0.999 * radius / float(change.norm()))
    return (start + change)[0].numpy().transpose(1, 2, 0)


@pytest.mark.slow
def test_an_attack_within_the_radius_flips_nothing_and_one_far_outside_does(one_torch_core):
    classifier = load_classifier(demo_model())
    certified = flipped_outside = 0
    for file in list(find_images([demo_photos("test")]))[2::10]:
        image = classifier.fit_to_input(decode_image(file.read(), file.path))
        x = to_unit(image)
        selection = counts_at(classifier, x, 0, 20)
        found = certify(selection, counts_at(classifier, x, 1, 100), SIGMA, ALPHA)
        if found.predicted == ABSTAIN:
            continue
        certified += 1
        inside = attacked(classifier, x, found.predicted, found.radius)
        distance = float(np.linalg.norm(inside - x))
        assert 0.9 * found.radius < distance < found.radius
        assert counts_at(classifier, inside, 1, 60).argmax() == found.predicted
        outside = attacked(classifier, x, found.predicted, 60 * found.radius)
        flipped_outside += counts_at(classifier, outside, 1, 30).argmax() != found.predicted
    assert certified >= 2
    assert flipped_outside >= 1  # the attack does work where nothing is certified
