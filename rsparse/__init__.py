"""rsparse: clean adversarial images by region-wise sparse coding, and measure how much it helped.

The map of the package, from the top down; imports go downwards only:

- ``cli``         one module per command: parse, call, print
- ``signals``     end on SIGINT, SIGTERM and SIGHUP
- ``torch``       a defense as a torch module
- ``adapters``    the same in other libraries
- ``api``         the commands on arrays
- ``sklearn``     the method as a scikit-learn transformer
- ``coder``       sparse coding and dictionary learning for signals of any kind
- ``commands``    one module or folder per command: files in, one artifact out
- ``viewer``      images and their versions as a local page to browse
- ``report``      an evaluation as a page and tables
- ``pages``       what HTML pages share: base template, style, tables, sliders
- ``pictures``    everything that draws
- ``evaluation``  results of an evaluation: scenarios, trials, statistics, checks
- ``training``    retraining: samples, losses, the training loop, checkpoints
- ``defended``    a defense in front of a classifier on a device
- ``detection``   scores that tell attacked images from clean ones
- ``denoisers``   denoisers: parameter sets that remove noise of known size
- ``attacks``     attacks on batches of arrays
- ``defenses``    defenses: parameter sets that clean an image
- ``models``      classifiers: ONNX files, their torch twins, networks by name
- ``work``        running work: threads, processes, clusters, devices, runs over many images
- ``store``       files, images, labels, folders, journals, records; one module per format
- ``core``        the mathematics: arrays in, arrays out; its engines hold the inner loops
- ``options``     parameters of the commands and how they are spelled
- ``errors``      errors that a user can fix
- ``data``        the embedded photographs and networks
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

_PUBLIC = {
    "AdversarialImages": "rsparse.api",
    "Classifier": "rsparse.models.onnx.classifier",
    "Dictionary": "rsparse.core.dictionary",
    "DictionaryLearner": "rsparse.coder",
    "InputError": "rsparse.errors",
    "InputOptions": "rsparse.models.spec",
    "LearnParameters": "rsparse.options.learn_dict",
    "LocalizeParameters": "rsparse.options.localize",
    "PurifyParameters": "rsparse.options.purify",
    "RegionSparseTransformer": "rsparse.sklearn",
    "Verdict": "rsparse.defended.verdict",
    "activations": "rsparse.api",
    "attack": "rsparse.api",
    "classify": "rsparse.api",
    "defend": "rsparse.api",
    "learn_dictionary": "rsparse.api",
    "load_classifier": "rsparse.api",
    "load_dictionary": "rsparse.store.dictionaries",
    "locate_object": "rsparse.api",
    "omp": "rsparse.coder",
    "purify": "rsparse.api",
    "purify_batch": "rsparse.api",
}

_RENAMED = {"Attacked": "AdversarialImages", "RegionSparse": "RegionSparseTransformer"}

_MODULES = ("adapters", "torch")

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import rsparse`` stays fast."""
    if name in _RENAMED:
        raise AttributeError(f"rsparse.{name} is now rsparse.{_RENAMED[name]}")
    if name in _MODULES:
        return importlib.import_module(f"rsparse.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rsparse' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
