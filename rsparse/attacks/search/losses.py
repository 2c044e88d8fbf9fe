"""Losses that an attack makes small: the lead of the class to leave, and its log-likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from rsparse.attacks.goal import Goal

MARGIN = "margin"
CROSS_ENTROPY = "ce"
LOSSES = (MARGIN, CROSS_ENTROPY)


def loss_of(name: str, logits: torch.Tensor, goal: Goal) -> torch.Tensor:
    """The loss of each image, (n,); the smaller, the closer the goal.

    Parameters
    ----------
    name : str
        ``margin``: see ``margins``. ``ce``: the log-likelihood of the label; for a target, the
        negative log-likelihood of the target.
    logits : Tensor of shape (n, n_classes)
    goal : Goal
    """
    if name == MARGIN:
        return margins(logits, goal)
    wanted = goal.labels if goal.targets is None else goal.targets
    likelihood = logits.log_softmax(1).gather(1, wanted[:, None])[:, 0]
    return likelihood if goal.targets is None else -likelihood


def margins(logits: torch.Tensor, goal: Goal) -> torch.Tensor:
    """How far each image is from the goal in logits, (n,): below 0 when it is reached.

    The lead of the label over the best other class; for a target, the lead of the best other class
    over the target.
    """
    wanted = goal.labels if goal.targets is None else goal.targets
    own = logits.gather(1, wanted[:, None])[:, 0]
    others = logits.scatter(1, wanted[:, None], -torch.inf).max(1).values
    return own - others if goal.targets is None else others - own
