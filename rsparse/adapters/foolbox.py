"""Foolbox's models behind a defense."""

from __future__ import annotations

from typing import Any

from rsparse.attacks.backend import require_foolbox
from rsparse.errors import InputError
from rsparse.torch import Purifier

require_foolbox()

import eagerpy as ep  # noqa: E402
from foolbox.models import Model  # noqa: E402
from foolbox.types import Bounds  # noqa: E402


class DefendedModel(Model):
    """A foolbox model behind a defense, itself a foolbox model: its attacks know the defense.

    Parameters
    ----------
    model : foolbox.Model
        On torch, such as a ``PyTorchModel``; images are (n, 3, h, w) within its bounds.
    purifier : Purifier

    Raises
    ------
    InputError
        If the model is no foolbox model.
    """

    def __init__(self, model: Any, purifier: Purifier) -> None:
        if not isinstance(model, Model):
            raise InputError(f"model: expected a foolbox model, got {type(model).__name__}")
        self.model = model
        self.purifier = purifier

    @property
    def bounds(self) -> Any:
        """The values of black and white, those of the model."""
        return Bounds(*self.model.bounds)

    def __call__(self, inputs: Any) -> Any:
        """The model's scores for the clean images."""
        x, restore_type = ep.astensor_(inputs)
        if not isinstance(x, ep.PyTorchTensor):
            raise InputError(f"inputs: expected torch tensors, got {type(x.raw).__name__}")
        low, high = self.bounds
        cleaned = self.purifier((x.raw - low) / (high - low)) * (high - low) + low
        return restore_type(ep.astensor(self.model(cleaned)))
