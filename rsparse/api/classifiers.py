"""Classify arrays behind a defense, and measure activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsparse.api.cleaning import Dictionaries, find_defense, resources_of
from rsparse.api.images import Images, read_images
from rsparse.api.loading import as_classifier
from rsparse.options.classify import ClassifyParameters

if TYPE_CHECKING:
    from rsparse.defended.verdict import Verdict
    from rsparse.defenses import Defense
    from rsparse.models.onnx.classifier import Classifier


def classify(
    images: Images,
    model: Classifier | Any,
    defense: Defense | str = "none",
    dictionaries: Dictionaries = None,
    *,
    top: int = 1,
    seed: int = 0,
    device: str = "auto",
    batch_size: int = ClassifyParameters.batch_size,
) -> list[Verdict]:
    """Classify images behind a defense.

    Parameters
    ----------
    images : array or tensor of shape (n, h, w, 3) or (n, 3, h, w), or sequence of images
        RGB, uint8 or floating point in [0, 1].
    model : Classifier, path, name or torch module
        As for ``load_classifier``.
    defense : Defense or str
        One defense, as on the command line: ``"jpeg:quality=40"``, ``"policy:default"``.
    dictionaries : Dictionary or path, or mapping of str to them, optional
        Required by ``regionsparse`` and most policies. In a mapping, "" is the default dictionary.
    top : int
        Number of classes in a verdict, most probable first.
    seed : int
        Seed of the defenses that draw random numbers.
    device, batch_size
        As for ``purify_batch``.

    Returns
    -------
    list of Verdict
        One for each image: the same as ``rsparse classify`` gives for the files that ``rsparse
        purify`` writes.

    Raises
    ------
    InputError
        If there is no such defense or device, the defense lacks a dictionary, or an image has an
        unusable size.
    """
    from rsparse.defended.classifier import DefendedClassifier
    from rsparse.work.device import choose_device
    from rsparse.work.one_core import one_thread
    from rsparse.work.workers import chunked

    chosen = find_defense(defense)
    defended = DefendedClassifier(
        chosen,
        resources_of(chosen, dictionaries, seed),
        [as_classifier(model)],
        choose_device(device),
        top,
    )
    with one_thread():  # as the command, so that the bytes are the same
        return [
            verdict
            for batch in chunked(read_images(images).pixels, batch_size)
            for (verdict,) in defended.predict(batch)
        ]


def activations(
    images: Images, model: Classifier | Any, gamma: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """Measure the total activation V_l of every layer for every image, eq. (7).

    Parameters
    ----------
    images : array or tensor of shape (n, h, w, 3) or (n, 3, h, w), or sequence of images
        RGB, uint8 or floating point in [0, 1].
    model : Classifier, path, name or torch module
        As for ``load_classifier``.
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
    for image in read_images(images).pixels:
        _, peaks = probe.peaks([image])
        for layer, peak in zip(layers, peaks, strict=True):
            totals[layer.name].append(total_activation(peak, gamma))
    return {name: np.concatenate(values) for name, values in totals.items()}
