"""Convert an ONNX classifier to its torch twin: equal logits, and gradients of the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from rsparse.core.engines.torch.precision import float32_in_full
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.parity import disagreement, probe_images
from rsparse.models.spec import LUMA
from rsparse.models.torch.conversion import WHERE, convert, reason
from rsparse.models.torch.fitting import fitted
from rsparse.models.torch.packed import can_pack, pack


class Twin(nn.Module):
    """A classifier in torch, from pixels to logits.

    It maps float32 RGB images (n, 3, h, w) in [0, 1], of any h and w, to logits (n, n_classes).
    Resizing, scaling, channel order, layout and class offset are included. They are
    differentiable and the same operations as in ``Classifier``; nothing is rounded. Every
    parameter is frozen, so a backward pass computes the gradient of the image only.
    """

    network: fx.GraphModule
    mean: torch.Tensor
    std: torch.Tensor
    luma: torch.Tensor

    def __init__(self, classifier: Classifier, network: fx.GraphModule) -> None:
        super().__init__()
        spec = classifier.spec
        self.network = network
        self.spec = spec
        self.batch = classifier.batch
        self.n_classes = classifier.n_classes
        self.register_buffer("mean", torch.tensor(spec.channel_mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(spec.channel_std).view(1, -1, 1, 1))
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, n_classes) for RGB images (n, 3, h, w) in [0, 1]."""
        return self._outputs(self.prepare(x))[:, self.spec.class_offset :]

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """The network's input for RGB images (n, 3, h, w) in [0, 1]."""
        x = fitted(x, self.spec.fit) * self.spec.range
        if self.spec.channels == "bgr":
            x = x.flip(1)
        elif self.spec.channels == "grey":
            x = (x * self.luma).sum(1, keepdim=True)
        x = (x - self.mean) / self.std
        if self.spec.layout == "NHWC":
            x = x.permute(0, 2, 3, 1)
        elif x.device.type == "cpu":  # convolutions on a CPU are a third faster channels-last
            x = x.contiguous(memory_format=torch.channels_last)
        return x

    def logits(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Class scores (n, n_classes) of (h, w, 3) images that all have the same size.

        For images of the network's input size the scores equal those of ``Classifier.logits``
        to within ``PARITY_TOLERANCE`` of their range.
        """
        try:
            pixels = torch.from_numpy(np.stack(images)).to(self.mean.device)
            with torch.inference_mode(), float32_in_full():
                return np.asarray(self(pixels.permute(0, 3, 1, 2) / 255).cpu().numpy())
        except torch.OutOfMemoryError:
            pass  # retry outside this block: the exception keeps the failed attempt's memory
        half = len(images) // 2
        if half == 0:
            raise InputError(f"the memory of device {str(self.mean.device)!r} is too small for it")
        return np.concatenate([self.logits(images[:half]), self.logits(images[half:])])

    def _outputs(self, x: torch.Tensor) -> torch.Tensor:
        """The network's outputs, computed in groups if its graph has a fixed batch size."""
        if self.batch is None:
            return self.network(x)
        missing = -len(x) % self.batch
        padded = torch.cat([x, x[-1:].expand(missing, -1, -1, -1)]) if missing else x
        groups = [self.network(group) for group in padded.split(self.batch)]
        return torch.cat(groups)[: len(x)]


def load_twin(classifier: Classifier, device: str = "cpu", *, trainable: bool = False) -> Twin:
    """Convert a classifier to torch and check that both agree.

    Parameters
    ----------
    classifier : Classifier
        The classifier to convert.
    device : str
        Where the twin computes: ``cpu``, ``cuda``, ….
    trainable : bool
        Whether weights will be trained; if so, torch's own convolutions are kept.

    Returns
    -------
    Twin
        In evaluation mode, with all weights frozen.

    Raises
    ------
    InputError
        If an operator cannot be converted (it is named), or if the logits differ from
        onnxruntime's by more than ``PARITY_TOLERANCE`` of their range.
    """
    try:
        network = convert(classifier.graph)
    except InputError as error:
        raise InputError(
            f"{classifier.path}: cannot be converted to torch, which attacks by gradients, "
            f"training and GPUs need: {error}"
        ) from error
    twin = Twin(classifier, network).eval().to(device)
    for tensor in (*twin.parameters(), *twin.buffers()):
        tensor.requires_grad_(False)
        if tensor.dim() == 4 and device == "cpu":
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    if device == "cpu" and not trainable and can_pack():
        pack(network)
    check_parity(classifier, twin)
    return twin


def check_parity(classifier: Classifier, twin: Twin) -> None:
    """Check that a twin gives the same logits as onnxruntime.

    Raises
    ------
    InputError
        If they differ by more than ``PARITY_TOLERANCE`` of their range.
    """
    images = probe_images(classifier.spec.size)
    expected = classifier.logits(images)
    device = next(twin.buffers()).device
    x = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy()).to(device)
    try:
        with torch.no_grad(), float32_in_full(), redirect_stderr(StringIO()):  # fx prints errors
            found = twin(x).cpu().numpy()
    except Exception as error:  # a converted graph may raise anything
        where = failing_operator(twin, x)
        raise InputError(
            f"{classifier.path}: its torch twin does not run: {where}{reason(error)}"
        ) from error
    different = disagreement(found, expected)
    if different:
        raise InputError(
            f"{classifier.path}: its torch twin's logits differ from onnxruntime's by {different}"
        )


def failing_operator(twin: Twin, x: torch.Tensor) -> str:
    """The operator that fails on some images, in words, with a colon; nothing if none is found."""
    run = _NoticingOperators(twin.network)
    try:
        with torch.no_grad():
            run.run(twin.prepare(x)[: twin.batch])
    except Exception:
        return f"{run.last}: " if run.last else ""
    return ""


class _NoticingOperators(fx.Interpreter):
    """Runs a network operator by operator; ``last`` is the one that runs."""

    last = ""

    def run_node(self, n: fx.Node) -> Any:
        self.last = n.meta.get(WHERE, self.last)
        return super().run_node(n)
