"""What is minimised, and the attack on the weights as they change."""

from __future__ import annotations

import torch
from torch.nn import functional


def label_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    smoothing: float,
    shares: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cross-entropy with labels (n,), a share of which is spread over all classes; (n,).

    ``shares`` (n,) tell how much of each image is itself, where images are blended with the ones
    before them (mixup, Zhang et al. 2018); each counts with its label.
    """
    losses = functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    if shares is None or bool((shares == 1).all()):
        return losses
    others = functional.cross_entropy(
        logits, labels.roll(1), label_smoothing=smoothing, reduction="none"
    )
    return shares * losses + (1 - shares) * others


def distillation_loss(
    logits: torch.Tensor, targets: torch.Tensor, temperature: float
) -> torch.Tensor:
    """T²·KL(softmax(targets / T) ‖ softmax(logits / T)) of (n, classes), (n,).

    Hinton et al. 2015; the factor keeps gradients of one size for any temperature. Never below 0,
    not by rounding either: weights that say the same are not beaten by others that do.
    """
    found = functional.log_softmax(logits / temperature, dim=1)
    wanted = functional.log_softmax(targets / temperature, dim=1)
    divergence = (wanted.exp() * (wanted - found)).sum(1)
    return temperature**2 * divergence.clamp_min(0)


def bim(
    network: torch.nn.Module, x: torch.Tensor, eps: torch.Tensor, steps: int = 1
) -> torch.Tensor:
    """Images some steps of BIM away, clipped and rounded to 8 bits as a file would be.

    One step, of eps, is FGSM; more, of 2 eps / steps, reach eps and leave as many to move along it
    (Kurakin et al. 2017). They lead away from what the network says itself of the image: with the
    label, the change would tell the label to the network ("label leaking", the same).

    Parameters
    ----------
    network : torch.nn.Module
    x : Tensor of shape (n, 3, h, w), float32 in [0, 1]
    eps : Tensor of shape (n,)
        In grey levels.
    steps : int

    Returns
    -------
    Tensor like ``x``, without a gradient
    """
    x = x.detach()
    limit = (eps / 255).reshape(-1, 1, 1, 1)
    step = limit * min(1.0, 2 / steps)
    moved, said = x, None
    for _ in range(steps):
        with torch.enable_grad():
            moved = moved.detach().requires_grad_(True)
            logits = network(moved).float()
            said = logits.argmax(1).detach() if said is None else said
            loss = functional.cross_entropy(logits, said, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, moved)
        change = (moved.detach() + step * gradient.sign() - x).clamp(-limit, limit)
        moved = (x + change).clamp(0, 1)
    return (moved * 255).round() / 255
