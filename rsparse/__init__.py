"""rsparse: clean adversarial images by region-wise sparse coding, and measure how much it helped.

The map of the package; imports go downwards only:

- ``cli``         one command per module; the only code that prints, exits or imports typer
- ``stages``      one module per command: read inputs, call the layers below, write one artifact
- ``attacks``     foolbox attacks as parameter dataclasses
- ``defenses``    RegionSparse and the baselines as parameter dataclasses, each of which cleans
- ``models``      ONNX classifiers: what they want as input, onnxruntime, the torch twin, the graph
- ``gpu``         purifying batches by torch
- ``training``    retraining a classifier: what is shown, what is learned, checkpoints
- ``images``, ``labels``, ``parallel``, ``pipeline``, ``devices``, ``store``
                  folders of images, ground truth, many cores, a GPU beside them, artifacts with
                  their records
- ``core``        the mathematics: arrays in, arrays out
- ``parameters``, ``specs``, ``errors``
                  what can be set, how it is spelled, and what a user can mend
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Attacked": "rsparse.library",
    "Classifier": "rsparse.models.onnx_classifier",
    "Dictionary": "rsparse.core.dictionary",
    "InputError": "rsparse.errors",
    "LearnParameters": "rsparse.parameters.method",
    "LocalizeParameters": "rsparse.parameters.method",
    "PurifyParameters": "rsparse.parameters.method",
    "RegionSparse": "rsparse.estimator",
    "activations": "rsparse.library",
    "attack": "rsparse.library",
    "defend": "rsparse.library",
    "learn_dictionary": "rsparse.core.learning",
    "load_classifier": "rsparse.models.onnx_classifier",
    "load_dictionary": "rsparse.store.dictionaries",
    "locate_object": "rsparse.core.localization",
    "purify": "rsparse.core.regionsparse",
    "purify_batch": "rsparse.library",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import rsparse`` stays quick."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rsparse' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
