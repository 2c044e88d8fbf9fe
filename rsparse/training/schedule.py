"""Schedule the learning rate and decide when to stop."""

from __future__ import annotations

import math
from collections.abc import Sequence


def learning_rate(step: int, n_steps: int, peak: float, warmup: float) -> float:
    """Return the learning rate of a step: linear warm-up to the peak, then half a cosine to 0.

    Parameters
    ----------
    step : int
        Counted from 0.
    n_steps : int
        Number of steps of the whole training if nothing stops it early.
    peak : float
    warmup : float
        Share of the steps used for the warm-up.

    Examples
    --------
    >>> [round(learning_rate(step, 8, 1.0, 0.25), 3) for step in range(8)]
    [0.5, 1.0, 1.0, 0.933, 0.75, 0.5, 0.25, 0.067]
    """
    rising = math.floor(warmup * n_steps)
    if step < rising:
        return peak * (step + 1) / rising
    return peak * (1 + math.cos(math.pi * (step - rising) / (n_steps - rising))) / 2


def is_stuck(losses: Sequence[float], patience: int | None) -> bool:
    """Whether the lowest loss occurred ``patience`` or more epochs ago.

    Parameters
    ----------
    losses : sequence of float
        Validation losses; the first is from before the training.
    patience : int or None
        ``None`` means never.

    Examples
    --------
    >>> is_stuck([3.0, 1.0, 1.5, 1.0], 2), is_stuck([3.0, 1.0, 1.5], 2)
    (True, False)
    """
    return patience is not None and len(losses) - 1 - best_epoch(losses) >= patience


def best_epoch(losses: Sequence[float]) -> int:
    """The first epoch with the lowest loss."""
    return min(range(len(losses)), key=lambda epoch: losses[epoch])
