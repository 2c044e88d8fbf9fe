"""Define the training losses, and the attack on the current weights."""

from __future__ import annotations

import torch
from torch.nn import functional


def label_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    smoothing: float,
    shares: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cross-entropy (n,) with labels (n,), smoothed by spreading a share over all classes.

    With mixup (Zhang et al. 2018) each image is blended with the one before it. ``shares`` (n,)
    give the weight of the image itself; the two labels are weighted accordingly.
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

    Hinton et al. 2015; the factor T² keeps the size of gradients independent of the temperature.
    Rounding cannot make the loss negative, so among weights that equal the teacher, the first win.
    """
    student = functional.log_softmax(logits / temperature, dim=1)
    teacher = functional.log_softmax(targets / temperature, dim=1)
    divergence = (teacher.exp() * (teacher - student)).sum(1)
    return temperature**2 * divergence.clamp_min(0)


def bim(
    network: torch.nn.Module, x: torch.Tensor, eps: torch.Tensor, steps: int = 1
) -> torch.Tensor:
    """Attack images with some steps of BIM, clipped and rounded to 8 bits like a stored file.

    One step of size eps is FGSM. With more, of size 2 eps / steps, half of them suffice to reach
    eps and the rest move along it (Kurakin et al. 2017). The attack moves away from the network's
    own prediction: with the true label, the change would reveal the label to the network ("label
    leaking", same paper).

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
    moved, predicted = x, None
    for _ in range(steps):
        with torch.enable_grad():
            moved = moved.detach().requires_grad_(True)
            logits = network(moved).float()
            predicted = logits.argmax(1).detach() if predicted is None else predicted
            loss = functional.cross_entropy(logits, predicted, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, moved)
        change = (moved.detach() + step * gradient.sign() - x).clamp(-limit, limit)
        moved = (x + change).clamp(0, 1)
    return (moved * 255).round() / 255
