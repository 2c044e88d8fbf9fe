"""What attacks cost: the seconds of one pass forward and backward, measured on the spot."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np

from rsparse.attacks.backend import one_torch_thread, require_foolbox
from rsparse.models.onnx.classifier import Classifier
from rsparse.store.images import Pixels, to_unit

require_foolbox()

import torch  # noqa: E402

from rsparse.attacks.batches import batch_that_fits  # noqa: E402
from rsparse.models.torch.twin import load_twin  # noqa: E402


def seconds_a_pass(classifier: Classifier, images: Sequence[Pixels], device: str = "cpu") -> float:
    """Seconds for one image of logits and the gradient of its pixels, on one core or the device.

    Parameters
    ----------
    classifier : Classifier
    images : sequence of (h, w, 3) uint8 arrays
        Two or so, of any sizes; each is fitted to the model's input. A GPU is given as many of
        them as it attacks together.
    device : str
        A torch device.
    """
    twin = load_twin(classifier, device)
    fitted = [classifier.fit_to_input(image) for image in images]
    if device.startswith("cuda"):
        fitted = [*islice(cycle(fitted), batch_that_fits(twin, classifier.spec.size, device))]
    x = to_unit(np.stack(fitted))
    batch = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(device)
    with one_torch_thread():
        _pass(twin, batch)  # the first one also prepares
        start = time.perf_counter()
        _pass(twin, batch)
        return (time.perf_counter() - start) / len(fitted)


def _pass(twin: torch.nn.Module, batch: torch.Tensor) -> None:
    x = batch.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(twin(x).logsumexp(1).sum(), x)
    gradient.cpu()
