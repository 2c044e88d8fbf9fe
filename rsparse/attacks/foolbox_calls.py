"""What calling an attack of foolbox gives, without the classifying of results that it ends with.

For an attack of one step that is a third of the whole cost, and whoever calls counts successes
after rounding anyway.
"""

from __future__ import annotations

from typing import Any

import eagerpy as ep
import torch
from foolbox.attacks.base import MinimizationAttack
from foolbox.models import PyTorchModel


def changed_within(
    attack: Any, model: PyTorchModel, x: torch.Tensor, y: torch.Tensor, limit: float
) -> torch.Tensor:
    """The result of an attack that uses up a limit, kept within it: ``attack(...)[1]``."""
    found = attack.run(model, x, y, epsilon=limit)
    kept = attack.distance.clip_perturbation(ep.astensor(x), ep.astensor(found), limit)
    return kept.raw


def least_change(
    attack: Any, model: PyTorchModel, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """The result of an attack that seeks the smallest change: ``attack(..., epsilons=None)[0]``."""
    if isinstance(attack, MinimizationAttack):
        return attack.run(model, x, y)
    return attack(model, x, y, epsilons=None)[0]
