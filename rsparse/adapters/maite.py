"""A defense as an augmentation of MAITE (protocol ``image_classification.Augmentation``).

MAITE's protocols describe shapes, so nothing is imported from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rsparse.torch import Purifier

Batch = tuple[Sequence[Any], Sequence[Any], Sequence[Any]]


class PurifyAugmentation:
    """Clean the images of a batch; its targets and metadata stay.

    Parameters
    ----------
    purifier : Purifier
    id : str, optional
        The identifier in MAITE's metadata; by default ``rsparse:`` and the defense.

    Attributes
    ----------
    metadata : dict
        ``{"id": …}``.
    """

    def __init__(self, purifier: Purifier, id: str | None = None) -> None:
        self.purifier = purifier
        self.metadata = {"id": id or f"rsparse:{purifier.defense.spec}"}

    def __call__(self, batch: Batch, /) -> Batch:
        """Clean a batch.

        Parameters
        ----------
        batch : tuple of three sequences
            Images (3, h, w), arrays or tensors, uint8 or floating point in [0, 1]; their targets;
            their metadata.

        Returns
        -------
        tuple
            The same with clean images, each of its own kind and type.
        """
        images, targets, metadata = batch
        return [self._clean(image) for image in images], targets, metadata

    def _clean(self, image: Any) -> Any:
        with torch.no_grad():
            cleaned = self.purifier(torch.as_tensor(image))
        return cleaned if isinstance(image, torch.Tensor) else cleaned.numpy()
