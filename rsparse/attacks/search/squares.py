"""The Square Attack: random squares of ±eps, each kept if it brings the goal closer."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from rsparse.attacks.goal import Goal
from rsparse.attacks.search.losses import margins

FIRST_SHARE = 0.8  # of an image's area in a square, at the start; 0.05 to 0.8 in the paper
HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # of the queries used


class Squared(NamedTuple):
    """The best image of each original, (n, 3, h, w), and the queries to it, (n,) int64."""

    x_adv: torch.Tensor
    queries: torch.Tensor


def squares(
    model: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    goal: Goal,
    eps: float,
    queries: int,
    *,
    stop: bool = False,
) -> Squared:
    """Run Algorithm 1 on all images together; the random numbers are drawn on the CPU.

    Parameters
    ----------
    model : callable
        Images (n, 3, h, w) in [0, 1] to logits; its gradients are not used.
    x : Tensor of shape (n, 3, h, w), float32 in [0, 1]
    goal : Goal
    eps : float
        In [0, 1]. If ``x`` has whole grey levels and eps is a whole level, so are the results.
    queries : int
    stop : bool
        Whether an image is left alone as soon as it reaches its goal.
    """
    n, channels, height, width = x.shape
    with torch.no_grad():
        best = (x + eps * _signs(n, channels, 1, width).to(x)).clip(0, 1)
        logits = model(best)
        nearest, reached = margins(logits, goal), goal.is_reached(logits)
        used = torch.ones(n, dtype=torch.int64, device=x.device)
        for query in range(1, queries):
            left = (~reached if stop else torch.ones_like(reached)).nonzero()[:, 0]
            if not len(left):
                break
            tried = best[left]
            side = _side(query, queries, height, width)
            rows = torch.randint(0, height - side[0] + 1, (len(left),)).tolist()
            columns = torch.randint(0, width - side[1] + 1, (len(left),)).tolist()
            signs = _signs(len(left), channels, 1, 1).to(x)
            for i, place in enumerate(left.tolist()):
                part = (
                    slice(None),
                    slice(rows[i], rows[i] + side[0]),
                    slice(columns[i], columns[i] + side[1]),
                )
                tried[(i, *part)] = (x[(place, *part)] + eps * signs[i]).clip(0, 1)
            logits = model(tried)
            found = margins(logits, goal.of(left))
            better = found < nearest[left]
            best[left[better]], nearest[left[better]] = tried[better], found[better]
            reached[left[better]] = goal.of(left).is_reached(logits)[better]
            used[left[better]] = query + 1
    return Squared(best, used)


def _side(query: int, queries: int, height: int, width: int) -> tuple[int, int]:
    """Height and width of the square that a query changes."""
    halvings = sum(query / queries > used for used in HALVINGS)
    side = round((FIRST_SHARE * 0.5**halvings * height * width) ** 0.5)
    return min(max(side, 1), height), min(max(side, 1), width)


def _signs(*shape: int) -> torch.Tensor:
    """Random signs ±1."""
    return 2 * torch.randint(0, 2, shape) - 1
