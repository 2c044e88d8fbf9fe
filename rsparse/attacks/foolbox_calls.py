"""Run attacks of foolbox without the final classification of their results.

For an attack of one step, that classification is a third of the whole cost. The caller counts
successes after rounding anyway.
"""

from __future__ import annotations

from typing import Any

import eagerpy as ep
import torch
from foolbox.attacks.base import MinimizationAttack
from foolbox.models import PyTorchModel

from rsparse.attacks.goal import Goal


def perturb_within(
    attack: Any, model: PyTorchModel, x: torch.Tensor, goal: Goal, limit: float
) -> torch.Tensor:
    """Run an attack that uses up a limit, and keep the result within it: ``attack(...)[1]``."""
    found = attack.run(model, x, goal.criterion, epsilon=limit)
    kept = attack.distance.clip_perturbation(ep.astensor(x), ep.astensor(found), limit)
    return kept.raw


def minimal_perturbation(
    attack: Any, model: PyTorchModel, x: torch.Tensor, goal: Goal
) -> torch.Tensor:
    """Run an attack that seeks the smallest change: ``attack(..., epsilons=None)[0]``."""
    if isinstance(attack, MinimizationAttack):
        return attack.run(model, x, goal.criterion)
    return attack(model, x, goal.criterion, epsilons=None)[0]
