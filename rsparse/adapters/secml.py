"""A defense as a preprocessing of SecML-Torch."""

from __future__ import annotations

from typing import Any

import torch
from secmlt.models.data_processing.data_processing import DataProcessing

from rsparse.torch import Purifier


class PurifyProcessing(DataProcessing):
    """A defense before a ``BasePyTorchClassifier``: SecML-Torch's attacks differentiate through it.

    ``BasePyTorchClassifier(network, preprocessing=PurifyProcessing(Purifier()))``

    Parameters
    ----------
    purifier : Purifier
        Images are (n, 3, h, w) in [0, 1].
    """

    def __init__(self, purifier: Purifier) -> None:
        super().__init__()
        self.purifier = purifier

    def _process(self, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return torch.as_tensor(self.purifier(x))

    def invert(self, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Return the images as they are: a clean image stands for itself."""
        return x
