"""A classifier's output for one image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsparse.models.onnx.classifier import softmax


@dataclass(frozen=True)
class Verdict:
    """A classifier's output for one image behind a defense.

    Attributes
    ----------
    classes : tuple of int
        The most probable classes, most probable first.
    probabilities : tuple of float
        Their probabilities, in [0, 1].
    score : float, optional
        How suspicious the image is, from defenses that measure it.
    radius : float, optional
        The certified radius, from defenses that compute one: no change of the image with a smaller
        L2 norm, for pixels in [0, 1], changes the prediction.
    """

    classes: tuple[int, ...]
    probabilities: tuple[float, ...]
    score: float | None = None
    radius: float | None = None

    @classmethod
    def of(
        cls,
        logits: NDArray[np.float32],
        top: int = 1,
        probabilities_of: Callable[[NDArray[np.float32]], NDArray[np.float32]] = softmax,
    ) -> Verdict:
        """Convert logits (n_classes,) to a verdict; ties go to the lower class index.

        ``probabilities_of`` is ``Classifier.probabilities_of``.

        Examples
        --------
        >>> Verdict.of(np.zeros(2, np.float32), top=2)
        Verdict(classes=(0, 1), probabilities=(0.5, 0.5), score=None, radius=None)
        """
        best = np.argsort(-logits, kind="stable")[:top]
        probabilities = probabilities_of(logits[None])[0, best]
        return cls(tuple(map(int, best)), tuple(map(float, probabilities)))

    @property
    def prediction(self) -> int:
        """The most probable class."""
        return self.classes[0]
