"""Convert an ONNX classifier to its torch twin: equal logits, and gradients of the pixels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from rsparse.core.engines.torch.precision import float32_in_full
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.parity import disagreement, probe_images
from rsparse.models.resize import resize_matrix
from rsparse.models.torch.converter import import_onnx2torch

convert, get_converter = import_onnx2torch()

import torch  # noqa: E402
from torch import nn  # noqa: E402

from rsparse.models.torch.packed import can_pack, pack  # noqa: E402


class Twin(nn.Module):
    """A classifier in torch, from pixels to logits.

    It maps float32 RGB images (n, 3, h, w) in [0, 1], of any h and w, to logits (n, n_classes).
    Resizing, scaling, channel order, layout and class offset are included. They are
    differentiable and the same operations as in ``Classifier``; nothing is rounded. Every
    parameter is frozen, so a backward pass computes the gradient of the image only.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, classifier: Classifier, network: nn.Module) -> None:
        super().__init__()
        spec = classifier.spec
        self.network = network
        self.spec = spec
        self.batch = classifier.batch
        self.n_classes = classifier.n_classes
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, n_classes) for RGB images (n, 3, h, w) in [0, 1]."""
        x = self._resized(x) * self.spec.range
        if self.spec.channels == "bgr":
            x = x.flip(1)
        x = (x - self.mean) / self.std
        if self.spec.layout == "NHWC":
            x = x.permute(0, 2, 3, 1)
        elif x.device.type == "cpu":  # convolutions on a CPU are a third faster channels-last
            x = x.contiguous(memory_format=torch.channels_last)
        return self._outputs(x)[:, self.spec.class_offset :]

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

    def _resized(self, x: torch.Tensor) -> torch.Tensor:
        (height, width), (rows, columns) = self.spec.size, x.shape[-2:]
        if rows != height:
            x = self._matrix(rows, height, x) @ x
        if columns != width:
            x = x @ self._matrix(columns, width, x).T
        return x

    @staticmethod
    def _matrix(n_from: int, n_to: int, like: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(resize_matrix(n_from, n_to).copy()).to(like)

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
    _check_operators(classifier)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # onnx2torch warns about its own internals
            network = convert(classifier.graph)
    except Exception as error:  # the converters raise many types
        detail = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(
            f"{classifier.path}: cannot be converted to torch for attacks: {detail}"
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


def _check_operators(classifier: Classifier) -> None:
    versions = {entry.domain: entry.version for entry in classifier.graph.opset_import}
    unknown = sorted(
        {node.op_type for node in classifier.graph.graph.node if not _is_known(node, versions)}
    )
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise InputError(
            f"{classifier.path}: cannot be attacked by gradients: onnx2torch does not support "
            f"the operator{plural} {', '.join(unknown)}"
        )


def _is_known(node: onnx.NodeProto, versions: dict[str, int]) -> bool:
    try:
        get_converter(
            domain=node.domain, operation_type=node.op_type, version=versions.get(node.domain, 1)
        )
    except NotImplementedError:
        return False
    return True


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
        with torch.no_grad(), float32_in_full():
            found = twin(x).cpu().numpy()
    except Exception as error:  # a converted graph may raise anything
        detail = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"{classifier.path}: its torch twin does not run: {detail}") from error
    different = disagreement(found, expected)
    if different:
        raise InputError(
            f"{classifier.path}: its torch twin's logits differ from onnxruntime's by {different}"
        )
