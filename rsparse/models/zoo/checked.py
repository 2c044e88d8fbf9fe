"""Export a torch network to ONNX, and check that onnxruntime computes the same logits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.onnx.file import OnnxFile, read_onnx
from rsparse.models.onnx.session import Session
from rsparse.models.parity import difference_of, disagreement, probe_images
from rsparse.models.spec import InputSpec
from rsparse.models.zoo.export import export_onnx, torch_logits

if TYPE_CHECKING:
    from torch import nn


class CheckedExport(NamedTuple):
    """The content of an ONNX file, and how much its logits differ from torch's."""

    content: bytes
    file: OnnxFile
    difference: float
    spread: float


def export_checked(
    network: nn.Module, name: str, spec: InputSpec, metadata: Mapping[str, str], path: Path
) -> CheckedExport:
    """Export a network.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, on the CPU: (n, 3, h, w) float32 to logits (n, n_classes).
    name : str
        The model's name, for errors and nodes.
    spec : InputSpec
    metadata : mapping
        The metadata of the file.
    path : Path
        Where the file will be, or its name.

    Raises
    ------
    InputError
        If it cannot be exported, or onnxruntime's logits differ.
    """
    content = export_onnx(network, name, spec.size, dict(metadata))
    file = read_onnx(content, path)
    x = Classifier(path, spec, file=file).prepare(probe_images(spec.size))
    expected = torch_logits(network, x)
    logits = Session(file.model, path, batch=len(x)).run(x)[0]
    different = disagreement(logits, expected)
    if different:
        raise InputError(f"{name}: onnxruntime's logits differ from torch's by {different}")
    return CheckedExport(content, file, *difference_of(logits, expected))
