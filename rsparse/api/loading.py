"""Load classifiers from files, from torch modules, and by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsparse.errors import InputError

if TYPE_CHECKING:
    from rsparse.models.onnx.classifier import Classifier
    from rsparse.models.spec import InputOptions


def load_classifier(
    model: Any, options: InputOptions | None = None, threads: int = 1
) -> Classifier:
    """Load a classifier and find out how to prepare its input.

    Parameters
    ----------
    model : path, name or torch module
        The path of an ONNX file, as text or ``Path``. The name of a model of timm, also as on the
        Hugging Face hub: ``resnet50.a1_in1k``, ``timm/resnet50.a1_in1k``; a text that ends in
        ``.onnx`` or names a file is a path. Or a torch module that maps float32 images
        (n, 3, h, w) to logits (n, n_classes): it is exported to ONNX in memory and not changed.
    options : InputOptions, optional
        How to prepare the input, as far as the model does not say it: ``InputOptions(
        "imagenet-torch")``, ``InputOptions(size=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3)``.
    threads : int
        Cores used within one forward pass.

    Returns
    -------
    Classifier

    Raises
    ------
    InputError
        If the model cannot be loaded or exported, or does not say how to prepare its input.
    """
    from rsparse.models.onnx import classifier

    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        from rsparse.models.zoo.in_memory import classifier_of_module

        return classifier_of_module(model, options, threads)
    if not isinstance(model, str | Path):
        raise InputError(f"model: expected a path, a name or a torch module, got {model!r:.80}")
    if isinstance(model, Path) or model.lower().endswith(".onnx") or Path(model).exists():
        return classifier.load_classifier(model, options, threads)
    from rsparse.models.zoo.in_memory import classifier_of_name

    return classifier_of_name(model, options, threads)


def as_classifier(model: Any) -> Classifier:
    """Return a classifier; anything else is loaded, and tried."""
    from rsparse.models.onnx.classifier import Classifier

    return model if isinstance(model, Classifier) else load_classifier(model).check()
