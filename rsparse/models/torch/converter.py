"""Import onnx2torch and patch its faults; nothing else imports it."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from rsparse.errors import InputError


def import_onnx2torch() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Import ``convert`` and ``get_converter`` of onnx2torch.

    Raises
    ------
    InputError
        If torch or onnx2torch is not installed.
    """
    try:
        with warnings.catch_warnings(), _torchvision_deferred():
            warnings.simplefilter("ignore")
            from onnx2torch import convert
            from onnx2torch.node_converters import get_converter

            _patch_slicing()
    except ImportError as error:
        raise InputError(
            f"attacks need {error.name or 'onnx2torch'}, which is not installed: "
            "pip install 'rsparse[attack]'"
        ) from error
    return convert, get_converter


@contextmanager
def _torchvision_deferred() -> Iterator[None]:
    """Replace torchvision by stand-ins that import it when they are first called.

    onnx2torch needs torchvision for two operators of object detectors only. The import takes as
    long as that of torch, and fails if torchvision was compiled for another version of torch.
    """
    if "torchvision" in sys.modules:
        yield
        return
    package, operators = ModuleType("torchvision"), ModuleType("torchvision.ops")
    package.ops = operators  # type: ignore[attr-defined]
    operators.__getattr__ = _operator  # type: ignore[method-assign]
    modules = {module.__name__: module for module in (package, operators)}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]


def _operator(name: str) -> Callable[..., Any]:
    """An operator of torchvision, which is imported when the operator is called."""
    if name.startswith("__"):
        raise AttributeError(name)

    def run(*args: Any, **options: Any) -> Any:
        return getattr(importlib.import_module("torchvision.ops"), name)(*args, **options)

    return run


def _patch_slicing() -> None:
    """Make converted Slice operators index with tuples.

    onnx2torch 1.5 indexes with lists. torch has deprecated this and will treat them as arrays.
    """
    from onnx2torch.node_converters import slice as slicing

    do_slice = getattr(slicing, "_do_slice", None)
    if do_slice is None or getattr(do_slice, "by_tuples", False):
        return

    def by_tuples(x: Any, flipped: Any, positive: Any, negative: Any) -> Any:
        return do_slice(x, flipped, tuple(positive), tuple(negative))

    by_tuples.by_tuples = True  # type: ignore[attr-defined]
    slicing._do_slice = by_tuples
