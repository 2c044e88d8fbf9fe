"""What a defense did to the images of a trial."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Treated:
    """What a defense did to the images of a trial.

    Attributes
    ----------
    texts : tuple of str
        Everything that was done to some image of the evaluation: ``rule 2: jpeg:quality=75``.
    done : int64 array of shape (n,)
        Index of the image's text; −1 for an image that could not be classified.
    psnr : float32 array of shape (n,)
        From the image to the clean image, in dB; infinite for an unchanged image, NaN for one
        that could not be classified.
    """

    texts: tuple[str, ...]
    done: NDArray[np.int64]
    psnr: NDArray[np.float32]

    def counts(self) -> dict[str, int]:
        """The number of images by what was done to them, without what was done to none."""
        known, counts = np.unique(self.done[self.done >= 0], return_counts=True)
        return {self.texts[i]: int(n) for i, n in zip(known, counts, strict=True)}

    @property
    def unchanged(self) -> int:
        """The number of images of which no pixel was changed."""
        return int(np.isposinf(self.psnr).sum())

    @property
    def mean_psnr(self) -> float | None:
        """The mean PSNR of the changed images, in dB; None if there are none."""
        changed = self.psnr[np.isfinite(self.psnr)]
        return float(changed.mean(dtype=np.float64)) if len(changed) else None
