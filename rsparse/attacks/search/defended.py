"""What a search may do with a module: ask the defender, follow gradients, and look at the policy.

A module that has a defense (``attacks.through.module.DefendedModule``) has backwards, draws and
perhaps a policy; any other module has one gradient and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from rsparse.attacks.search.shapes import Unnoticed
from rsparse.core.noise import flattest

EXACT = "exact"
"""The backward of a module that is differentiated as it is."""

FLAT_SHARE = 0.04  # of the windows; a policy looks at the flattest 0.02
_BLUR = 1.0  # deviation of the surrogate's blur, in pixels


class Subject:
    """A module under attack.

    Parameters
    ----------
    module : torch.nn.Module
        Images (n, 3, h, w) in [0, 1] to logits. Gradients are averaged over its draws.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.has_defense = hasattr(module, "backwards")
        self.is_random = self.has_defense and self.module.is_random
        self.backwards: tuple[str, ...] = getattr(module, "backwards", (EXACT,))
        self.has_policy = self.has_defense and self.module.policy is not None

    def ask(self, x: torch.Tensor) -> torch.Tensor:
        """Logits as the defender computes them, with the defender's random numbers."""
        if self.is_random:
            return self.module.drawn(x, self.module.resources)
        return self.module(x)

    @property
    def guide(self) -> Any:
        """What gives the gradients if not ``ask``: the mean over draws that are not the defender's.

        None for a defense without random numbers, and for a single draw, which is the defender's.
        """
        return self.module if self.is_random and self.module.draws > 1 else None

    def surrogate(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the bare model behind a Gaussian blur, which stands for the defense."""
        bare = self.module.twin if self.has_defense else self.module
        return bare(_blurred(x))

    @contextmanager
    def differentiated_by(self, backward: str) -> Iterator[None]:
        """Use a backward of the defense, and afterwards the one that it had."""
        if not self.has_defense:
            yield
            return
        before = self.module.backward
        self.module.backward = backward
        try:
            yield
        finally:
            self.module.backward = before

    def branches(self, x: torch.Tensor) -> list[int] | None:
        """The rule of the policy that applies to each image; None without a policy."""
        return self.module.branch(x) if self.has_policy else None

    def resubmitted(self, x: torch.Tensor, times: int) -> torch.Tensor:
        """Logits (times, n, n_classes) of a random defense; the first are the defender's."""
        return self.module.resubmitted(x, times)


def unnoticed_shape(x: torch.Tensor) -> Unnoticed:
    """The changes of images ``x`` (n, 3, h, w) in [0, 1] that a policy hardly notices."""
    levels = (255 * x).round().clamp(0, 255).to(torch.uint8).cpu().permute(0, 2, 3, 1).numpy()
    allowed = np.stack([~flattest(np.ascontiguousarray(image), FLAT_SHARE) for image in levels])
    return Unnoticed(torch.from_numpy(allowed[:, None].astype(np.float32)).to(x.device))


def _blurred(x: torch.Tensor) -> torch.Tensor:
    places = torch.arange(-3, 4, device=x.device, dtype=x.dtype)
    weights = torch.exp(-places.square() / (2 * _BLUR**2))
    weights = weights / weights.sum()
    row = weights.reshape(1, 1, 1, -1).expand(3, 1, 1, -1)
    column = row.transpose(2, 3)
    padded = functional.pad(x, (3, 3, 3, 3), mode="replicate")
    return functional.conv2d(functional.conv2d(padded, row, groups=3), column, groups=3)
