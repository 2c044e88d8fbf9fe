"""The embedded default: a small classifier and photographs that may be passed on.

- ``inception_small.onnx``: an Inception-style network that tells ten photographs apart by crops
  of 128×128 pixels; its metadata say how it wants its input.
- ``comdefend.onnx``: the two networks of the ``comdefend`` defense.
- ``photos/train``, ``photos/test``: five crops of each photograph and split, one folder a class.
  The test crops come from a region that no training crop touches.
- ``photos/crops.csv``: where each crop was cut. ``LICENSES.md``: whose the photographs are.

``scripts/demo_photos.py`` and ``scripts/demo_model.py`` (``make demo-model``) rebuild all but the
two networks, ``scripts/comdefend_model.py`` (``make comdefend-model``) those.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

_HERE = Path(str(files(__name__)))


def demo_model() -> Path:
    """The embedded classifier, an ONNX file."""
    return _HERE / "inception_small.onnx"


def comdefend_model() -> Path:
    """The networks of the ``comdefend`` defense, an ONNX file."""
    return _HERE / "comdefend.onnx"


def demo_photos(split: Literal["train", "test"]) -> Path:
    """The folder of the embedded photographs of a split, one subfolder a class."""
    return _HERE / "photos" / split
