"""How a descent moves: by signs with momentum, or with steps that adapt (APGD).

The variables are in grey levels, and the loss is to become smaller. Each object holds the state of
the images that are still searched.
"""

from __future__ import annotations

from typing import Protocol

import torch

Bounds = tuple[torch.Tensor, torch.Tensor]
LAST_SHARE = 0.1  # of the first step, at the end of falling steps


class Steps(Protocol):
    """Chooses the next variables of each image."""

    def keep(self, some: torch.Tensor) -> None:
        """Forget the images that the mask ``some`` does not select."""

    def next(
        self, variables: torch.Tensor, gradient: torch.Tensor, losses: torch.Tensor, bounds: Bounds
    ) -> torch.Tensor:
        """The variables after a step from ``variables``, whose loss and gradient are given."""


class SignSteps:
    """PGD: steps along the sign of the gradient, gathered with momentum (Madry 2018; Dong 2018).

    Parameters
    ----------
    steps : int
    size : float
        Length of a step in grey levels.
    momentum : float
        Share of the gathered gradient that is kept; each gradient is divided by its L₁ norm.
    falling : bool
        Whether the length falls linearly to a tenth.
    """

    def __init__(self, steps: int, size: float, momentum: float = 0, falling: bool = False) -> None:
        self.steps, self.size, self.momentum, self.falling = steps, size, momentum, falling
        self.taken = 0
        self.gathered: torch.Tensor | None = None

    def keep(self, some: torch.Tensor) -> None:
        """See ``Steps.keep``."""
        if self.gathered is not None:
            self.gathered = self.gathered[some]

    def next(
        self, variables: torch.Tensor, gradient: torch.Tensor, losses: torch.Tensor, bounds: Bounds
    ) -> torch.Tensor:
        """See ``Steps.next``."""
        del losses
        if self.momentum:
            norms = _per_image(gradient.abs().flatten(1).sum(1), gradient)
            gradient = gradient / norms.clamp(min=1e-30)
            if self.gathered is not None:
                gradient = self.momentum * self.gathered + gradient
            self.gathered = gradient
        share = self.taken / max(1, self.steps - 1) if self.falling else 0.0
        self.taken += 1
        size = self.size * (1 - (1 - LAST_SHARE) * share)
        return (variables - size * gradient.sign()).clamp(*bounds)


class AutoSteps:
    """APGD: momentum, and steps halved where they stop helping (Croce, Hein 2020, Algorithm 1).

    An image whose step is halved continues from its best point.

    Parameters
    ----------
    steps : int
    eps : float
        The limit in grey levels; the first step is twice as long.
    """

    SHARE = 0.75  # α of the new step against the momentum, and ρ of steps that must help

    def __init__(self, steps: int, eps: float) -> None:
        self.checkpoints = _checkpoints(steps)
        self.eps = eps
        self.taken = 0
        self.last_check = 0
        self._state: dict[str, torch.Tensor] = {}

    def keep(self, some: torch.Tensor) -> None:
        """See ``Steps.keep``."""
        self._state = {name: values[some] for name, values in self._state.items()}

    def next(
        self, variables: torch.Tensor, gradient: torch.Tensor, losses: torch.Tensor, bounds: Bounds
    ) -> torch.Tensor:
        """See ``Steps.next``."""
        state = self._state
        if not state:
            self._start(variables, gradient, losses)
            state = self._state
        else:
            self._compare(variables, gradient, losses)
        if self.taken in self.checkpoints:
            variables, gradient = self._check(variables, gradient)
        size = _per_image(state["size"], variables)
        stepped = (variables - size * gradient.sign()).clamp(*bounds)
        share = 1.0 if self.taken == 0 else self.SHARE
        moved = share * (stepped - variables) + (1 - share) * (variables - state["previous"])
        state["previous"] = variables
        self.taken += 1
        return (variables + moved).clamp(*bounds)

    def _start(self, variables: torch.Tensor, gradient: torch.Tensor, losses: torch.Tensor) -> None:
        size = torch.full_like(losses, 2 * self.eps)
        self._state = {
            "size": size,
            "checked_size": torch.full_like(losses, torch.inf),
            "checked_loss": losses,
            "loss": losses,
            "helped": torch.zeros_like(losses),
            "best_loss": losses,
            "best": variables,
            "best_gradient": gradient,
            "previous": variables,
        }

    def _compare(
        self, variables: torch.Tensor, gradient: torch.Tensor, losses: torch.Tensor
    ) -> None:
        """Count the steps that helped, and remember each image's best point."""
        state = self._state
        state["helped"] = state["helped"] + (losses < state["loss"])
        state["loss"] = losses
        better = losses < state["best_loss"]
        state["best_loss"] = torch.where(better, losses, state["best_loss"])
        rows = _per_image(better, variables)
        state["best"] = torch.where(rows, variables, state["best"])
        state["best_gradient"] = torch.where(rows, gradient, state["best_gradient"])

    def _check(
        self, variables: torch.Tensor, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Halve the steps that helped too rarely, and return to the best points for them."""
        state = self._state
        rarely = state["helped"] < self.SHARE * (self.taken - self.last_check)
        stuck = (state["checked_size"] == state["size"]) & (
            state["checked_loss"] == state["best_loss"]
        )
        halve = rarely | stuck
        state["checked_size"] = state["size"]
        state["checked_loss"] = state["best_loss"]
        state["size"] = torch.where(halve, state["size"] / 2, state["size"])
        state["helped"] = torch.zeros_like(state["helped"])
        self.last_check = self.taken
        rows = _per_image(halve, variables)
        state["previous"] = torch.where(rows, state["best"], state["previous"])
        state["loss"] = torch.where(halve, state["best_loss"], state["loss"])
        return (
            torch.where(rows, state["best"], variables),
            torch.where(rows, state["best_gradient"], gradient),
        )


def _checkpoints(steps: int) -> set[int]:
    """The iterations w_j = ⌈p_j·N⌉ at which APGD checks its steps; p_j in hundredths."""
    shares = [0, 22]
    while shares[-1] < 100:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 3, 6))
    return {-(-share * steps // 100) for share in shares[1:] if share <= 100}


def _per_image(values: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Values (n,) in a form that can be combined with images (n, 3, h, w)."""
    return values.reshape(-1, *(1,) * (images.ndim - 1))
