"""Import torchvision with a torch version that its compiled part was not built for."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

_declared: list[Any] = []  # the operators exist as long as their library object


def import_torchvision() -> None:
    """Import torchvision; if its compiled operators are missing, declare them by name only."""
    import torch

    try:
        import torchvision
    except RuntimeError:
        found = importlib.util.find_spec("torchvision")
        assert found is not None
        assert found.origin is not None
        text = Path(found.origin).with_name("_meta_registrations.py").read_text(encoding="utf-8")
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in sorted(set(re.findall(r'register_meta\("(\w+)"\)|torchvision::(\w+)', text))):
            library.define(f"{''.join(name)}(Tensor x) -> Tensor")
        _declared.append(library)
        import torchvision  # noqa: F401
