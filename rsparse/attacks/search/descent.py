"""Follow gradients until an image of 8 bits reaches its goal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from rsparse.attacks.goal import Goal
from rsparse.attacks.search.losses import MARGIN, loss_of, margins
from rsparse.attacks.search.region import Region
from rsparse.attacks.search.shapes import Shape
from rsparse.attacks.search.steps import AutoSteps, SignSteps, Steps

Model = Callable[[torch.Tensor], torch.Tensor]

EARLY = 4
"""Steps after which the loss is compared: steps of eps/4 have then reached the limit."""


@dataclass(frozen=True)
class Recipe:
    """How a descent proceeds.

    Attributes
    ----------
    steps : int
    loss : str
        See ``losses.loss_of``.
    step_size : float
        Length of a step relative to eps.
    momentum : float
    falling : bool
        See ``steps.SignSteps``.
    random_start : bool
        Whether it starts at a random point of the region and not at the original.
    auto : bool
        Whether it takes APGD's steps; these need no length, momentum or falling.
    patience : int or None
        After how many steps without a better image an image leaves the batch; None is never.
    """

    steps: int
    loss: str = MARGIN
    step_size: float = 0.25
    momentum: float = 0.0
    falling: bool = False
    random_start: bool = False
    auto: bool = False
    patience: int | None = None

    def new_steps(self, eps: float) -> Steps:
        """The steps for a limit in grey levels."""
        if self.auto:
            return AutoSteps(self.steps, eps)
        return SignSteps(self.steps, self.step_size * eps, self.momentum, self.falling)


class Found:
    """The best image of each original so far: one that reaches the goal, or the nearest to it.

    Attributes
    ----------
    x_adv : Tensor of shape (n, 3, h, w)
        Whole grey levels, in [0, 1].
    margins : Tensor of shape (n,)
        See ``losses.margins``.
    reached : Tensor of shape (n,), bool
    steps : Tensor of shape (n,), int64
        Gradient steps to ``x_adv``.
    asked : Tensor of shape (n,), int64
        Images that the module has classified.
    lowered, compared : Tensor of shape (n,), int64
        Early steps that lowered the loss, of those that are compared with the one before.
    """

    def __init__(self, region: Region) -> None:
        n = len(region.origin)
        device = region.origin.device
        self.x_adv = region.image(torch.zeros_like(region.origin))
        self.margins = torch.full((n,), torch.inf, device=device)
        self.reached = torch.zeros(n, dtype=torch.bool, device=device)
        counts = torch.zeros(4, n, dtype=torch.int64, device=device)
        self.steps, self.asked, self.lowered, self.compared = counts

    def note(
        self, left: torch.Tensor, tried: torch.Tensor, logits: torch.Tensor, goal: Goal, step: int
    ) -> torch.Tensor:
        """Keep the images ``tried`` that are better; ``left`` are their places.

        Returns
        -------
        Tensor of bool
            Which of the tried images reach the goal.
        """
        found, reached = margins(logits, goal), goal.is_reached(logits)
        better = (found < self.margins[left]) & (reached | ~self.reached[left])
        better |= reached & ~self.reached[left]
        places = left[better]
        self.x_adv[places] = tried[better]
        self.margins[places] = found[better]
        self.reached[places] = reached[better]
        self.steps[places] = step
        self.asked[left] += 1
        return reached

    def take_better(self, other: Found, some: torch.Tensor | None = None) -> torch.Tensor:
        """Take over the better images of another search.

        Parameters
        ----------
        other : Found
        some : Tensor of shape (m,), int64, optional
            The places of the images that the other search had; by default all.

        Returns
        -------
        Tensor of bool
            Which of the other's images were taken.
        """
        places = torch.arange(len(self.margins), device=self.margins.device)
        places = places if some is None else some
        reached = self.reached[places]
        better = (other.margins < self.margins[places]) & (other.reached | ~reached)
        better |= other.reached & ~reached
        taken = places[better]
        for name in ("x_adv", "margins", "reached", "steps"):
            getattr(self, name)[taken] = getattr(other, name)[better]
        for name in ("asked", "lowered", "compared"):
            getattr(self, name)[places] += getattr(other, name)
        return better

    def compare(self, left: torch.Tensor, losses: torch.Tensor, before: torch.Tensor) -> None:
        """Count the steps that lowered the loss."""
        self.compared[left] += 1
        self.lowered[left] += losses < before


def descend(
    model: Model,
    x: torch.Tensor,
    goal: Goal,
    eps: float,
    recipe: Recipe,
    *,
    shape: Shape = Shape(),
    guide: Model | None = None,
    stop: bool = False,
) -> Found:
    """Lower the loss of images within L∞ eps, by gradients.

    Parameters
    ----------
    model : callable
        Images (n, 3, h, w) in [0, 1] to logits. It is asked only about images of whole levels.
    x : Tensor of shape (n, 3, h, w), float32 in [0, 1]
    goal : Goal
    eps : float
        Grey levels.
    recipe : Recipe
    shape : Shape
        The changes that are allowed.
    guide : callable, optional
        A surrogate that gives the gradients in place of the model.
    stop : bool
        Whether an image leaves the batch as soon as it reaches its goal.

    Returns
    -------
    Found
        The best of all images that the model was asked about.
    """
    region = Region.around(x, eps)
    found, steps = Found(region), recipe.new_steps(eps)
    left = torch.arange(len(x), device=x.device)
    variables = _start(shape.bounds(region), recipe.random_start)
    before: torch.Tensor | None = None
    last = recipe.steps if region.allows_change else 0
    for step in range(last + 1):
        tried = region.image(shape.change(variables, region))
        asked = _Asked(model, guide, tried, goal, recipe.loss, step < last)
        reached = found.note(left, tried, asked.logits, goal, step)
        if before is not None and step <= EARLY:
            found.compare(left, asked.losses, before)
        kept = ~reached if stop else torch.ones_like(reached)
        if recipe.patience is not None:
            kept = kept & (step - found.steps[left] < recipe.patience)
        if step == last or not kept.any():
            break
        gradient = asked.gradient(kept)
        before = asked.losses[kept]
        if not kept.all():
            left, region, goal = left[kept], region.of(kept), goal.of(kept)
            shape, variables = shape.of(kept), variables[kept]
            steps.keep(kept)
        pulled = shape.pulled_back(variables, region, gradient)
        variables = steps.next(variables, pulled, before, shape.bounds(region))
    return found


def _start(bounds: tuple[torch.Tensor, torch.Tensor], is_random: bool) -> torch.Tensor:
    """The original images, or points that are drawn on the CPU."""
    low, high = bounds
    if not is_random:
        return torch.zeros_like(low).clamp(low, high)
    return low + (high - low) * torch.rand(low.shape).to(low)


class _Asked:
    """The model's answer about images, and the gradient of the loss."""

    def __init__(
        self,
        model: Model,
        guide: Model | None,
        tried: torch.Tensor,
        goal: Goal,
        loss: str,
        needs_gradient: bool,
    ) -> None:
        self._tried = tried.detach()
        self._guided: torch.Tensor | None = None
        if needs_gradient:
            self._tried.requires_grad_()
        if guide is None:
            with torch.set_grad_enabled(needs_gradient):
                logits = model(self._tried)
                losses = loss_of(loss, logits, goal)
            self._guided = losses
        else:
            with torch.no_grad():
                logits = model(self._tried)
                losses = loss_of(loss, logits, goal)
            if needs_gradient:
                self._guided = loss_of(loss, guide(self._tried), goal)
        self.logits, self.losses = logits.detach(), losses.detach()

    def gradient(self, some: torch.Tensor) -> torch.Tensor:
        """The gradient of the loss of some images, given by a mask; 0 where it is not finite."""
        assert self._guided is not None
        (gradient,) = torch.autograd.grad(self._guided[some].sum(), self._tried)
        return torch.nan_to_num(gradient[some], nan=0.0, posinf=0.0, neginf=0.0)
