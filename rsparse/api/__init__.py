"""The commands as functions on arrays, without touching the disk for images.

Images are RGB: NumPy arrays or torch tensors, channels last or first, uint8 or floating point in
[0, 1]; or sequences of images of any sizes. A model is a loaded ``Classifier``, or what
``load_classifier`` takes.
"""

from __future__ import annotations

from rsparse.api.attacking import AdversarialImages, attack
from rsparse.api.classifiers import activations, classify
from rsparse.api.cleaning import defend, purify, purify_batch
from rsparse.api.learning import learn_dictionary, locate_object
from rsparse.api.loading import load_classifier

__all__ = [
    "AdversarialImages",
    "activations",
    "attack",
    "classify",
    "defend",
    "learn_dictionary",
    "load_classifier",
    "locate_object",
    "purify",
    "purify_batch",
]
