"""What a classifier says of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsparse.models.onnx.classifier import softmax


@dataclass(frozen=True)
class Verdict:
    """What a classifier says of an image behind a defense.

    Attributes
    ----------
    classes : tuple of int
        The most probable ones, in order.
    probabilities : tuple of float
        Theirs, in [0, 1].
    score : float, optional
        Of a defense that also tells how suspicious an image is.
    radius : float, optional
        Of a defense that certifies the prediction: the L2 norm of the changes that leave it as it
        is, for pixels in [0, 1].
    """

    classes: tuple[int, ...]
    probabilities: tuple[float, ...]
    score: float | None = None
    radius: float | None = None

    @classmethod
    def of(cls, logits: NDArray[np.float32], top: int = 1) -> Verdict:
        """The verdict that logits (n_classes,) are; of equal ones the first class counts more.

        Examples
        --------
        >>> Verdict.of(np.zeros(2, np.float32), top=2)
        Verdict(classes=(0, 1), probabilities=(0.5, 0.5), score=None, radius=None)
        """
        best = np.argsort(-logits, kind="stable")[:top]
        probabilities = softmax(logits[None])[0, best]
        return cls(tuple(map(int, best)), tuple(map(float, probabilities)))

    @property
    def prediction(self) -> int:
        """The most probable class."""
        return self.classes[0]
