"""MI-FGSM as the paper's eq. 3–4 define it, from foolbox's parts.

Foolbox's ``LinfMomentumIterativeFastGradientMethod`` gathers sign(∇L) where eq. 3 gathers
∇L/‖∇L‖₁: it differs in a fifth of the pixels on a toy network. Its L₂ version gathers ∇L/‖∇L‖₂.
"""

from __future__ import annotations

from typing import Any

import eagerpy as ep
import torch
from foolbox.attacks import (
    L2MomentumIterativeFastGradientMethod,
    LinfMomentumIterativeFastGradientMethod,
)
from foolbox.attacks.gradient_descent_base import normalize_lp_norms
from foolbox.devutils import atleast_kd, flatten
from foolbox.models import PyTorchModel

from rsparse.attacks.foolbox_calls import changed_within


def momentum_attack(
    model: PyTorchModel,
    x: torch.Tensor,
    y: torch.Tensor,
    norm: str,
    limit: float,
    *,
    steps: int,
    rel_stepsize: float,
    momentum: float,
) -> torch.Tensor:
    """Run MI-FGSM within a ball around each image.

    Parameters
    ----------
    model : PyTorchModel
    x : Tensor of shape (n, 3, h, w), float32 in [0, 1]
    y : Tensor of shape (n,), int64
    norm : "linf" or "l2"
    limit : float
        The ball's radius: in [0, 1] for L∞; relative to each image's own norm for L₂.
    steps, rel_stepsize, momentum
        Iterations M, one step's length relative to the radius, and μ.

    Returns
    -------
    Tensor like ``x``
    """
    if norm == "linf":
        linf = Linf(momentum=momentum, rel_stepsize=rel_stepsize, steps=steps)
        return changed_within(linf, model, x, y, limit)
    l2 = L2(momentum=momentum, rel_stepsize=rel_stepsize, steps=steps)
    radii = limit * x.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    return l2.run(model, x, y, epsilon=ep.astensor(radii))


class _GathersGradientOverL1:
    """Eq. 3: what is gathered is ∇L/‖∇L‖₁, in every norm (Dong et al. 2018)."""

    def normalize(self, gradients: ep.Tensor, **_: Any) -> ep.Tensor:
        return normalize_lp_norms(gradients, p=1)


class Linf(_GathersGradientOverL1, LinfMomentumIterativeFastGradientMethod):
    """Eq. 4: a step along the sign of what was gathered, then back into the cube."""


class L2(_GathersGradientOverL1, L2MomentumIterativeFastGradientMethod):
    """A step along g_m/‖g_m‖₂ (Dong et al. 2018), then back into the ball.

    The ball's radius is the ``epsilon`` of ``run``: here one for each image, (n, 1, 1, 1), where
    foolbox takes one for all.
    """

    def project(self, x: ep.Tensor, x0: ep.Tensor, epsilon: Any) -> ep.Tensor:
        norms = ep.maximum(flatten(x - x0).norms.l2(axis=-1), 1e-12)  # no division by zero
        return x0 + (x - x0) * ep.minimum(1, epsilon / atleast_kd(norms, x.ndim))
