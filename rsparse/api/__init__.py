"""The commands as functions on arrays, without touching the disk for images.

Images are uint8 RGB, an array (n, h, w, 3) or a sequence of (h, w, 3) of any sizes; a model is
a loaded ``Classifier`` or the path of an ONNX file that describes its input.
"""

from __future__ import annotations

from rsparse.api.attacking import AdversarialImages, attack
from rsparse.api.classifiers import activations, classify
from rsparse.api.cleaning import defend, purify, purify_batch

__all__ = [
    "AdversarialImages",
    "activations",
    "attack",
    "classify",
    "defend",
    "purify",
    "purify_batch",
]
