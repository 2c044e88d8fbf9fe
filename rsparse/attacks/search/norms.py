"""The smallest change in L₂ that reaches a goal: DDN of Rony et al. (2019), Algorithm 1."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from rsparse.attacks.goal import Goal
from rsparse.attacks.search.losses import loss_of

LAST_STEP = 0.01  # of the first step, which has length 1, at the end of the cosine


def smallest_change(
    model: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    goal: Goal,
    *,
    steps: int,
    loss: str,
    radius: float,
    gamma: float,
) -> torch.Tensor:
    """The nearest image in L₂ found that reaches the goal; ``x`` where none was found.

    Parameters
    ----------
    model : callable
        Images (n, 3, h, w) in [0, 1] to logits; asked only about images of whole grey levels.
    x : Tensor of shape (n, 3, h, w), float32 in [0, 1]
    goal : Goal
    steps : int
    loss : str
        See ``losses.loss_of``.
    radius : float
        ε₀, with pixels in [0, 1].
    gamma : float
        γ: the radius is multiplied by 1 − γ if an image reaches its goal, else by 1 + γ.
    """
    best, nearest = x.clone(), x.new_full((len(x),), torch.inf)
    radii = x.new_full((len(x),), radius)
    change = torch.zeros_like(x)
    tried = _on_grid(x)
    for step in range(steps + 1):
        asked = tried.detach().requires_grad_()
        logits = model(asked)
        reached = goal.is_reached(logits.detach())
        distance = (tried - x).flatten(1).norm(dim=1)
        better = reached & (distance < nearest)
        best[better], nearest[better] = tried[better], distance[better]
        if step == steps:
            break
        (gradient,) = torch.autograd.grad(loss_of(loss, logits, goal).sum(), asked)
        gradient = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
        share = (1 + math.cos(math.pi * step / steps)) / 2
        length = LAST_STEP + (1 - LAST_STEP) * share
        change = change - length * gradient / _norms(gradient)
        if step:  # the radius is that of the first projection until it was tried
            radii = radii * torch.where(reached, 1 - gamma, 1 + gamma)
        change = change / _norms(change) * radii.reshape(-1, 1, 1, 1)
        change = (x + change).clamp(0, 1) - x
        tried = _on_grid(x + change)
    return best


def _norms(values: torch.Tensor) -> torch.Tensor:
    return values.flatten(1).norm(dim=1).clamp(min=1e-12).reshape(-1, 1, 1, 1)


def _on_grid(x: torch.Tensor) -> torch.Tensor:
    return (255 * x).round() / 255
