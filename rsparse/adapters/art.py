"""Defenses as preprocessors of the Adversarial Robustness Toolbox (ART)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from art.defences.preprocessor.preprocessor import Preprocessor, PreprocessorPyTorch

from rsparse.errors import InputError
from rsparse.torch import Purifier


class _Scaled:
    """Images in ART's clip values, for a ``Purifier``."""

    def __init__(self, purifier: Purifier, clip_values: tuple[float, float]) -> None:
        low, high = (float(value) for value in clip_values)
        if not low < high:
            raise InputError(f"clip_values: expected a lower and a higher one, got {clip_values}")
        self.purifier, self.low, self.width = purifier, low, high - low

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype == torch.uint8:
            x = x.float()
        cleaned = self.purifier((x - self.low) / self.width)
        return torch.as_tensor(cleaned * self.width + self.low)


class PurifyPyTorch(PreprocessorPyTorch):
    """A defense before a ``PyTorchClassifier``: ART's attacks differentiate through it.

    Parameters
    ----------
    purifier : Purifier
    clip_values : (float, float)
        The values of black and white, as the classifier's: (0, 1) or (0, 255).
    apply_fit, apply_predict : bool
        Whether ART cleans images for training, and for predictions.
    device_type : str
        ``cpu`` or ``gpu``.

    Examples
    --------
    ``PyTorchClassifier(…, clip_values=(0, 1), preprocessing_defences=[PurifyPyTorch(Purifier())])``
    """

    params = ["clip_values"]  # noqa: RUF012 - ART's own form

    def __init__(
        self,
        purifier: Purifier,
        clip_values: tuple[float, float] = (0.0, 1.0),
        *,
        apply_fit: bool = False,
        apply_predict: bool = True,
        device_type: str = "gpu",
    ) -> None:
        super().__init__(
            device_type=device_type,
            is_fitted=True,
            apply_fit=apply_fit,
            apply_predict=apply_predict,
        )
        self.clip_values = clip_values
        self._clean = _Scaled(purifier, clip_values)

    def forward(self, x: torch.Tensor, y: Any = None) -> tuple[torch.Tensor, Any]:
        """Clean images (n, 3, h, w); the labels are returned as given."""
        return self._clean(x), y


class Purify(Preprocessor):
    """A defense before any classifier of ART, on NumPy arrays.

    Parameters
    ----------
    purifier : Purifier
    clip_values : (float, float)
        The values of black and white, as the classifier's.
    channels_first : bool
        Images are (n, 3, h, w), not (n, h, w, 3).
    apply_fit, apply_predict : bool
        Whether ART cleans images for training, and for predictions.
    """

    params = ["clip_values", "channels_first"]  # noqa: RUF012 - ART's own form

    def __init__(
        self,
        purifier: Purifier,
        clip_values: tuple[float, float] = (0.0, 1.0),
        *,
        channels_first: bool = False,
        apply_fit: bool = False,
        apply_predict: bool = True,
    ) -> None:
        super().__init__(is_fitted=True, apply_fit=apply_fit, apply_predict=apply_predict)
        self.clip_values = clip_values
        self.channels_first = channels_first
        self._clean = _Scaled(purifier, clip_values)

    def __call__(self, x: np.ndarray, y: Any = None) -> tuple[np.ndarray, Any]:
        """Clean images; the labels are returned as given."""
        with torch.no_grad():
            cleaned = self._clean(self._first(x))
        return self._back(cleaned).astype(x.dtype), y

    def estimate_gradient(self, x: np.ndarray, grad: np.ndarray) -> np.ndarray:
        """Multiply a gradient, of the shape of ``x``, by the defense's Jacobian."""
        images = self._first(x).requires_grad_()
        self._clean(images).backward(self._first(grad))
        assert images.grad is not None
        return self._back(images.grad).astype(grad.dtype)

    def _first(self, x: np.ndarray) -> torch.Tensor:
        images = torch.tensor(x, dtype=torch.float32)
        return images if self.channels_first else images.permute(0, 3, 1, 2)

    def _back(self, x: torch.Tensor) -> np.ndarray:
        images = x.detach() if self.channels_first else x.detach().permute(0, 2, 3, 1)
        return np.ascontiguousarray(images.numpy())
