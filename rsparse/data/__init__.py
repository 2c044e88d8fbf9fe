"""Locate the embedded data: a small classifier, redistributable photographs, ComDefend.

- ``inception_small.onnx``: an Inception-style network that tells ten photographs apart from crops
  of 128×128 pixels; its metadata say how to prepare its input.
- ``comdefend.onnx``: the two networks of the ``comdefend`` defense.
- ``denoising.npz``: the weights of the denoiser ``unrolled``, and the atoms of ``omp``.
- ``photos/train``, ``photos/test``: five crops of each photograph per split, one folder per class.
  The test crops come from a region that no training crop touches.
- ``photos/crops.csv`` tells where each crop was cut, ``LICENSES.md`` who made the photographs.

``scripts/demo_photos.py`` and ``scripts/demo_model.py`` (``make demo-model``) rebuild the
photographs and the classifier, ``scripts/comdefend_model.py`` (``make comdefend-model``) rebuilds
the networks of ComDefend, ``scripts/unrolled_coder.py`` the weights of denoising.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

_FOLDER = Path(str(files(__name__)))


def demo_model() -> Path:
    """The embedded classifier, an ONNX file."""
    return _FOLDER / "inception_small.onnx"


def comdefend_model() -> Path:
    """The networks of the ``comdefend`` defense, an ONNX file."""
    return _FOLDER / "comdefend.onnx"


def denoising_weights() -> Path:
    """The weights of the denoisers that code sparsely, a file of NumPy arrays."""
    return _FOLDER / "denoising.npz"


def demo_photos(split: Literal["train", "test"]) -> Path:
    """The folder with the embedded photographs of a split, one subfolder per class."""
    return _FOLDER / "photos" / split
