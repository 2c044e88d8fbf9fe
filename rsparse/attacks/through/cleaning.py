"""Clean tensors of images by a defense, with a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rsparse.attacks.through.backwards import Pixels, Vjp, trace
from rsparse.defenses import Defense, Resources


def clean_tensor(
    x: torch.Tensor, defense: Defense, resources: Resources, backward: str
) -> torch.Tensor:
    """Round images to 8 bits and clean them, with a gradient for autograd.

    Parameters
    ----------
    x : floating-point tensor of shape (n, 3, h, w), in [0, 1]
    defense : Defense
    resources : Resources
    backward : str
        One of ``backwards_of(defense)``. The gradient passes the rounding unchanged and the defense
        by it.

    Returns
    -------
    tensor like ``x``
        Whole grey levels, divided by 255: the bytes of ``Defense.clean``.
    """
    cleaned: torch.Tensor = _Clean.apply(x, defense, resources, backward)
    return cleaned


class _Clean(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, defense: Defense, resources: Resources, backward: str
    ) -> torch.Tensor:
        images = to_images(x)
        if not x.requires_grad:
            cleaned = [defense.clean(image, resources) for image in images]
        else:
            traced = [trace(defense, image, resources, backward) for image in images]
            cleaned = [each.cleaned for each in traced]
            ctx.vjps = [each.vjp for each in traced]
        return as_tensor(cleaned, x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (upper,) = gradients
        vjps: list[Vjp] = ctx.vjps
        arrays = upper.detach().cpu().float().permute(0, 2, 3, 1).contiguous().numpy()
        lower = np.stack([vjp(array) for vjp, array in zip(vjps, arrays, strict=True)])
        return torch.from_numpy(lower).to(upper).permute(0, 3, 1, 2), None, None, None


def to_images(x: torch.Tensor) -> list[Pixels]:
    """Images (n, 3, h, w) in [0, 1] as arrays (h, w, 3), rounded to 8 bits as files are."""
    levels = (x.detach().cpu().float().permute(0, 2, 3, 1) * 255).round().clamp(0, 255)
    return list(levels.to(torch.uint8).contiguous().numpy())


def as_tensor(images: list[Pixels], like: torch.Tensor) -> torch.Tensor:
    """Images (h, w, 3) as a tensor (n, 3, h, w) in [0, 1], of the device and type of another."""
    pixels = torch.from_numpy(np.stack(images)).to(like.device)
    return (pixels.permute(0, 3, 1, 2) / 255).contiguous().to(like.dtype)
