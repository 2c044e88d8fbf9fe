"""Look inside a classifier: peak activations of its layers, and attention maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rsparse.core.activation import total_activation
from rsparse.core.attention import class_activation_map, subtract_average_class
from rsparse.errors import InputError, missing_package
from rsparse.models.onnx.cam_head import find_cam_head, with_features
from rsparse.models.onnx.classifier import Classifier, Image
from rsparse.models.onnx.graph import FeatureLayer, activation_layers, with_peaks

Floats = NDArray[np.float32]


class Explainer(Protocol):
    """Explains the classes of a classifier."""

    classifier: Classifier

    def explain(
        self, image: Any, choose: Callable[[Floats], int], center: bool = True
    ) -> tuple[Floats, Floats, int]:
        """See ``AttentionProbe.explain``."""


class PeakProbe:
    """Measures the largest activation of every feature detector in the chosen layers.

    Only the maxima leave the runtime, so memory does not grow with images or feature maps.
    """

    def __init__(self, classifier: Classifier, layers: Sequence[FeatureLayer]) -> None:
        self.classifier = classifier
        self.layers = tuple(layers)
        self._session = classifier.open_session(with_peaks(classifier.graph, self.layers))

    def __reduce__(self) -> tuple[Any, ...]:
        return _peak_probe, (self.classifier, self.layers)

    def peaks(self, images: Sequence[Image]) -> tuple[Floats, list[Floats]]:
        """Logits (n, n_classes), and the peaks (n, n_channels) of each layer."""
        outputs, *peaks = self._session.run(self.classifier.prepare(images))
        return self.classifier.scores(outputs), peaks


class AttentionProbe:
    """Gives the last feature maps, and the weights that turn them into class activation maps.

    Attributes
    ----------
    weights : ndarray of shape (n_classes, n_channels), float32
    bias : ndarray of shape (n_classes,), float32

    Raises
    ------
    InputError
        If the graph does not end in global average pooling and a linear layer.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        head = find_cam_head(classifier.graph, str(classifier.path))
        offset = classifier.spec.class_offset
        self.weights, self.bias = head.weights[offset:], head.bias[offset:]
        self._session = classifier.open_session(with_features(classifier.graph, head))

    def __reduce__(self) -> tuple[Any, ...]:
        return _attention_probe, (self.classifier,)

    def weights_for(self, index: int, center: bool = True) -> Floats:
        """Weights of the features that explain a class, centred on the average class or not."""
        return self._centered[index] if center else self.weights[index]

    @cached_property
    def _centered(self) -> Floats:
        return subtract_average_class(self.weights)

    def features(self, images: Sequence[Image]) -> tuple[Floats, Floats]:
        """Logits (n, n_classes) and feature maps (n, n_channels, h, w).

        Raises
        ------
        InputError
            If the maps and weights do not add up to the logits: the graph was misread.
        """
        outputs, features = self._session.run(self.classifier.prepare(images))
        logits = self.classifier.scores(outputs)
        with np.errstate(all="ignore"):
            explained = features.mean(axis=(2, 3)) @ self.weights.T + self.bias
            same_shape = explained.shape == logits.shape
            difference = np.abs(explained - logits).max() if same_shape else np.inf
            scale = max(float(np.ptp(logits)), 1e-2 * float(np.abs(logits).max()), 1e-6)
        if not difference <= 1e-3 * scale:
            raise InputError(
                f"{self.classifier.path}: its last feature maps and weights "
                "do not add up to its class scores, so they cannot explain a class"
            )
        return logits, features

    def explain(
        self, image: Image, choose: Callable[[Floats], int], center: bool = True
    ) -> tuple[Floats, Floats, int]:
        """Explain a class of one image.

        Parameters
        ----------
        image : array of shape (h, w, 3)
        choose : callable
            Returns the class, given logits (1, n_classes).
        center : bool
            Explain the class relative to the average class.

        Returns
        -------
        logits : float32 array of shape (1, n_classes)
        attention : float32 array of shape (h', w')
            At the resolution of the last feature maps.
        chosen : int
            The class.
        """
        logits, features = self.features([image])
        chosen = choose(logits)
        return logits, class_activation_map(features[0], self.weights_for(chosen, center)), chosen


def probe_of(classifier: Classifier, method: str = "auto") -> Explainer:
    """The probe that explains a classifier's classes.

    Parameters
    ----------
    classifier : Classifier
    method : str
        ``cam``, ``grad-cam``, or ``auto``: class activation maps if the graph has them, else
        Grad-CAM.

    Raises
    ------
    InputError
        If it cannot be explained in this way.
    """
    if method != "grad-cam":
        try:
            return AttentionProbe(classifier)
        except InputError as error:
            if method == "cam":
                raise
            refused = error
    missing = next((name for name in ("torch", "captum") if find_spec(name) is None), None)
    if missing is not None:
        why = "Grad-CAM needs" if method == "grad-cam" else f"{refused}; Grad-CAM, which can, needs"
        raise missing_package(why, missing, "attention")
    from rsparse.models.torch.grad_cam import GradCamProbe

    return GradCamProbe(classifier)


# A process unpickles a classifier once, and likewise builds each probe on it once.


@lru_cache(maxsize=4)
def _peak_probe(classifier: Classifier, layers: tuple[FeatureLayer, ...]) -> PeakProbe:
    return PeakProbe(classifier, layers)


@lru_cache(maxsize=4)
def _attention_probe(classifier: Classifier) -> AttentionProbe:
    return AttentionProbe(classifier)


def layer_activations(
    classifier: Classifier, images: Sequence[Image], gamma: float = 0.0
) -> tuple[list[FeatureLayer], NDArray[np.float64]]:
    """The total activation V_l (eq. 7) of every layer for every image.

    Parameters
    ----------
    classifier : Classifier
        See ``load_classifier``.
    images : sequence of (h, w, 3) arrays
        uint8, or float32 in [0, 1].
    gamma : float
        Threshold γ: detectors whose activation is not above it do not count.

    Returns
    -------
    layers : list of FeatureLayer
        In the graph's order.
    totals : ndarray of shape (n_images, n_layers), float64
    """
    layers = activation_layers(classifier.graph, str(classifier.path))
    _, peaks = PeakProbe(classifier, layers).peaks(images)
    return layers, np.stack([total_activation(peak, gamma) for peak in peaks], axis=1)


def attention_maps(
    classifier: Classifier,
    images: Sequence[Image],
    classes: Sequence[int] | None = None,
    center: bool = True,
) -> tuple[Floats, NDArray[np.int64]]:
    """Compute the class activation maps of images, by Grad-CAM without global pooling.

    Parameters
    ----------
    classifier : Classifier
        See ``load_classifier``.
    images : sequence of (h, w, 3) arrays
        uint8, or float32 in [0, 1].
    classes : sequence of int, optional
        The class to explain for each image; the predicted class by default.
    center : bool
        Subtract the weights of the average class (see ``core.attention.subtract_average_class``).

    Returns
    -------
    maps : ndarray of shape (n_images, h', w'), float32
        At the resolution of the last feature maps (8×8 in Inception-v3).
    classes : ndarray of shape (n_images,), int64
    """
    probe = probe_of(classifier)
    wanted = [None] * len(images) if classes is None else list(classes)
    maps, chosen = [], []
    for image, index in zip(images, wanted, strict=True):
        explained = probe.explain(image, _choice(index), center)
        maps.append(explained[1])
        chosen.append(explained[2])
    return np.stack(maps), np.asarray(chosen, np.int64)


def _choice(index: int | None) -> Callable[[Floats], int]:
    return lambda logits: int(logits[0].argmax()) if index is None else int(index)
