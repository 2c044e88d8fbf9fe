"""The one place that imports onnx2torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rsparse.errors import InputError

_declared: list[Any] = []  # the stand-ins below live as long as their library object


def import_onnx2torch() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Import ``convert`` and ``get_converter`` of onnx2torch.

    Raises
    ------
    InputError
        If torch or onnx2torch is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _import_torchvision()
            from onnx2torch import convert
            from onnx2torch.node_converters import get_converter

            _mend_slicing()
    except ImportError as error:
        raise InputError(
            f"attacks need {error.name or 'onnx2torch'}, which is not installed: "
            "pip install 'rsparse[attack]'"
        ) from error
    return convert, get_converter


def _import_torchvision() -> None:
    """Import torchvision, also where its compiled part does not fit this torch.

    onnx2torch imports it for two detection operators. Builds of torchvision for CUDA beside a
    torch for CPUs fail on import because their own operators are missing; declaring those, never
    to be called by a classifier, lets the import pass.
    """
    import torch

    try:
        import torchvision  # type: ignore[import-untyped]
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
        import torchvision
    del torchvision


def _mend_slicing() -> None:
    """Let converted Slice operators index by tuples.

    onnx2torch 1.5 indexes by lists, which torch deprecates and announces to read as numbers.
    """
    from onnx2torch.node_converters import slice as slicing

    do_slice = getattr(slicing, "_do_slice", None)
    if do_slice is None or getattr(do_slice, "by_tuples", False):
        return

    def by_tuples(x: Any, flipped: Any, positive: Any, negative: Any) -> Any:
        return do_slice(x, flipped, tuple(positive), tuple(negative))

    by_tuples.by_tuples = True  # type: ignore[attr-defined]
    slicing._do_slice = by_tuples
