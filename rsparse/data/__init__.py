"""Locate the embedded data: a small classifier, redistributable photographs, ComDefend.

- ``inception_small.onnx``: an Inception-style network that tells ten photographs apart from crops
  of 128×128 pixels; its metadata say how to prepare its input.
- ``comdefend.onnx``: the two networks of the ``comdefend`` defense.
- ``denoising.npz``: the weights of the denoiser ``unrolled``, and the atoms of ``omp``.
- ``dictionaries/``: the dictionary that is used if none is given, and a catalogue of those that
  have a name.
- ``photos/train``, ``photos/test``: five crops of each photograph per split, one folder per class.
  The test crops come from a region that no training crop touches.
- ``photos/crops.csv`` tells where each crop was cut, ``LICENSES.md`` who made the photographs.

``scripts/demo_photos.py`` and ``scripts/demo_model.py`` (``make demo-model``) rebuild the
photographs and the classifier, ``scripts/comdefend_model.py`` (``make comdefend-model``) rebuilds
the networks of ComDefend, ``scripts/unrolled_coder.py`` the weights of denoising,
``scripts/dictionaries.py`` the dictionaries.
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


def embedded_dictionary() -> Path:
    """The dictionary that is used if none is given, a ``dict.h5``."""
    return _FOLDER / "dictionaries" / "photos-8x8-1024.h5"


def dictionary_catalogue() -> Path:
    """The catalogue of published dictionaries, a JSON file; see ``rsparse.store.published``."""
    return _FOLDER / "dictionaries" / "catalogue.json"


def demo_photos(split: Literal["train", "test"]) -> Path:
    """The folder with the embedded photographs of a split, one subfolder per class."""
    return _FOLDER / "photos" / split
