"""Import onnx2torch without torchvision, which it needs for two operators of object detectors only.

The import of torchvision takes as long as that of torch, and fails if torchvision was compiled for
another build of torch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without_torchvision() -> Iterator[None]:
    """Replace torchvision by an empty package whose operators cannot be called."""
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


def _operator(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    return None
