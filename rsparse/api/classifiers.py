"""Load classifiers, and measure their activations on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rsparse.models.onnx.classifier import Classifier

Pixels = NDArray[np.uint8]
Images = NDArray[np.uint8] | Sequence[Pixels]


def activations(
    images: Images, model: Classifier | Path | str, gamma: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """Measure the total activation V_l of every layer for every image, eq. (7).

    Parameters
    ----------
    images : uint8 array of shape (n, h, w, 3), or sequence of images
    model : Classifier or path
    gamma : float
        Threshold γ; detectors at or below it do not count.

    Returns
    -------
    dict of str to float64 array of shape (n,)
        Totals by layer name, in order from the input to the output.
    """
    from rsparse.core.activation import total_activation
    from rsparse.models.onnx.graph import activation_layers
    from rsparse.models.onnx.probes import PeakProbe

    classifier = as_classifier(model)
    layers = activation_layers(classifier.graph, str(classifier.path))
    probe = PeakProbe(classifier, layers)
    totals: dict[str, list[NDArray[np.float64]]] = {layer.name: [] for layer in layers}
    for image in images:
        _, peaks = probe.peaks([image])
        for layer, peak in zip(layers, peaks, strict=True):
            totals[layer.name].append(total_activation(peak, gamma))
    return {name: np.concatenate(values) for name, values in totals.items()}


def as_classifier(model: Classifier | Path | str) -> Classifier:
    """Return a classifier, loading it if a path is given."""
    from rsparse.models.onnx.classifier import load_classifier

    return load_classifier(Path(model)) if isinstance(model, str | Path) else model
