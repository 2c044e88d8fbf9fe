"""Measure what attacks cost: the time of one forward and backward pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice

import numpy as np

from rsparse.attacks.backend import one_torch_thread, require_foolbox
from rsparse.models.onnx.classifier import Classifier
from rsparse.store.images import Pixels, to_unit

require_foolbox()

import torch  # noqa: E402

from rsparse.attacks.backend import has_gradients  # noqa: E402
from rsparse.attacks.batches import batch_that_fits  # noqa: E402
from rsparse.models.torch.twin import load_twin  # noqa: E402


def seconds_per_pass(
    classifier: Classifier,
    images: Sequence[Pixels],
    device: str = "cpu",
    factory: Callable[[Classifier, str], torch.nn.Module] = load_twin,
) -> float:
    """Measure the seconds per image for logits and the gradient of the pixels, if it has one.

    Parameters
    ----------
    classifier : Classifier
    images : sequence of (h, w, 3) uint8 arrays
        About two, of any sizes; each is fitted to the model's input. A GPU gets a full batch of
        copies.
    device : str
        A torch device; on a CPU, one core is used.
    factory : callable
        Makes the module that is attacked, of a classifier and a device.
    """
    module = factory(classifier, device)
    fitted = [classifier.fit_to_input(image) for image in images]
    if device.startswith("cuda"):
        fitted = [*islice(cycle(fitted), batch_that_fits(module, classifier.spec.size, device))]
    x = to_unit(np.stack(fitted))
    batch = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(device)
    with one_torch_thread():
        _pass(module, batch)  # warm-up
        start = time.perf_counter()
        _pass(module, batch)
        return (time.perf_counter() - start) / len(fitted)


def _pass(module: torch.nn.Module, batch: torch.Tensor) -> None:
    x = batch.clone().requires_grad_()
    if not has_gradients(module):
        module(x)
        return
    (gradient,) = torch.autograd.grad(module(x).logsumexp(1).sum(), x)
    gradient.cpu()
