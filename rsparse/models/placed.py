"""Run a classifier on a device: by onnxruntime on the CPU cores, or by its torch twin."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsparse.work.device import Device

if TYPE_CHECKING:
    from rsparse.models.onnx.classifier import Classifier
    from rsparse.models.torch.twin import Twin


def place(classifier: Classifier, device: Device) -> ClassifierOnDevice:
    """Return the classifier on a device: the same object each time, so that it loads once."""
    placed: ClassifierOnDevice = classifier.by_device.setdefault(
        device, ClassifierOnDevice(classifier, device)
    )
    return placed


class ClassifierOnDevice:
    """A classifier on a device; ``place`` makes it.

    The twin is loaded when it is first needed. A pickled object carries none.

    Parameters
    ----------
    classifier : Classifier
    device : Device
        If it takes no images, onnxruntime computes on one core.
    """

    def __init__(self, classifier: Classifier, device: Device) -> None:
        self.classifier = classifier
        self.device = device

    def __reduce__(self) -> tuple[Any, ...]:
        return ClassifierOnDevice, (self.classifier, self.device)

    @cached_property
    def twin(self) -> Twin:
        """The classifier in torch, on the device.

        Raises
        ------
        InputError
            If it cannot be converted, or its logits differ from onnxruntime's.
        """
        from rsparse.models.torch.twin import load_twin

        return load_twin(self.classifier, self.device.torch)

    def logits(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Class scores (n, n_classes) of (h, w, 3) images of any sizes."""
        if not self.device.takes_images:
            return self.classifier.logits(images)
        return self.twin.logits([self.classifier.fit_to_input(image) for image in images])
