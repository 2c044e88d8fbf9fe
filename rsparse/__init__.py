"""rsparse: clean adversarial images by region-wise sparse coding, and measure how much it helped.

The map of the package, from the top down; imports go downwards only:

- ``cli``         one command a module: parse, call, print
- ``api``         the commands on arrays
- ``sklearn``     the method as a scikit-learn transformer
- ``commands``    one module or folder a command: files in, one artifact out
- ``report``      an evaluation as a page and tables
- ``pictures``    everything that draws
- ``evaluation``  what was found: scenarios, results, statistics, checks
- ``training``    retraining: what is shown, what is learned, checkpoints
- ``defended``    a defense before a classifier on a device
- ``attacks``     what an attack is, and one batch of arrays attacked
- ``defenses``    what a defense is: a parameter set that cleans an image
- ``models``      classifiers: ONNX files, their torch twins, networks by name
- ``work``        where work is done: processes, a cluster, a device, runs over many images
- ``store``       files, images, labels, folders, journals, records; one module a format
- ``core``        the mathematics: arrays in, arrays out; its engines hold the inner loops
- ``options``     what can be set, and how it is spelled
- ``errors``      what a user can mend
- ``data``        the embedded photographs and networks
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "AdversarialImages": "rsparse.api",
    "Classifier": "rsparse.models.onnx.classifier",
    "Dictionary": "rsparse.core.dictionary",
    "InputError": "rsparse.errors",
    "LearnParameters": "rsparse.options.learn_dict",
    "LocalizeParameters": "rsparse.options.localize",
    "PurifyParameters": "rsparse.options.purify",
    "RegionSparseTransformer": "rsparse.sklearn",
    "activations": "rsparse.api",
    "attack": "rsparse.api",
    "defend": "rsparse.api",
    "learn_dictionary": "rsparse.core.learning",
    "load_classifier": "rsparse.models.onnx.classifier",
    "load_dictionary": "rsparse.store.dictionaries",
    "locate_object": "rsparse.core.localization",
    "purify": "rsparse.api",
    "purify_batch": "rsparse.api",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import rsparse`` stays quick."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rsparse' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
