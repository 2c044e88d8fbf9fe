"""The classifier behind a defense as a torch module: the product's bytes, and a gradient."""

from __future__ import annotations

import numpy as np
import torch

from rsparse.attacks.backend import has_gradients
from rsparse.attacks.through.backwards import backwards_of, chosen_backward
from rsparse.attacks.through.cleaning import clean_tensor, to_images
from rsparse.defenses import Chain, Defense, Resources
from rsparse.defenses.by_noise import ByNoise


class DefendedModule(torch.nn.Module):
    """A classifier behind a defense, from pixels to logits.

    It maps float32 RGB images (n, 3, h, w) in [0, 1] to logits (n, n_classes). An image is rounded
    to 8 bits and cleaned by ``Defense.clean``, so the classifier sees the bytes that ``rsparse
    purify`` would write. The gradient passes the rounding unchanged and the defense by the chosen
    backward.

    Parameters
    ----------
    twin : torch.nn.Module
        The classifier; one without gradients is only asked for logits.
    defense : Defense
    resources : Resources
        What the defense needs. Its seed is that of the defended classifier.
    backward : str, optional
        One of ``backwards``; by default the strongest.
    draws : int
        For a defense that draws random numbers: the number of seeds over which the logits, and with
        them the gradient, are averaged (EOT; Athalye et al. 2018). One draw is that of
        ``resources``. Several have other seeds, since the attacker does not know the defender's.

    Attributes
    ----------
    backward : str
        The backward of the next call; may be set.
    backwards : tuple of str
        Those that the defense has, the strongest first; the given one alone if one is given, so
        that an attack that tries several keeps to it.
    draws : int
        May be set; without effect on a defense that draws no random numbers.
    queries : int
        Images classified so far; each draw counts.
    n_classes : int or None
        As the classifier states it.

    Raises
    ------
    InputError
        If the defense has no such backward.
    """

    def __init__(
        self,
        twin: torch.nn.Module,
        defense: Defense,
        resources: Resources,
        backward: str | None = None,
        draws: int = 1,
    ) -> None:
        super().__init__()
        self.twin = twin
        self.defense = defense
        self.resources = resources
        self.backwards = backwards_of(defense)
        self.backward = chosen_backward(defense, backward)
        if backward is not None:
            self.backwards = (backward,)
        self.draws = draws
        self.queries = 0
        self.n_classes: int | None = getattr(twin, "n_classes", None)

    @property
    def has_gradients(self) -> bool:
        """Whether it can be differentiated."""
        return has_gradients(self.twin)

    @property
    def policy(self) -> ByNoise | None:
        """The policy that looks at the given image itself, if the defense starts with one."""
        first = self.defense.parts[0] if isinstance(self.defense, Chain) else self.defense
        return first if isinstance(first, ByNoise) else None

    @property
    def is_random(self) -> bool:
        """Whether the defense draws random numbers."""
        return self.defense.is_random

    def branch(self, x: torch.Tensor) -> list[int] | None:
        """The number of the rule that ``policy`` applies to each image; None without a policy."""
        policy = self.policy
        if policy is None:
            return None
        defenses = [rule.defense for rule in policy.rules]
        return [defenses.index(policy.chosen_for(image)) for image in to_images(x)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, n_classes), averaged over the draws."""
        sets = self._resources()
        logits = [self.drawn(x, resources) for resources in sets]
        return logits[0] if len(sets) == 1 else torch.stack(logits).mean(0)

    def drawn(self, x: torch.Tensor, resources: Resources) -> torch.Tensor:
        """Logits (n, n_classes) for one seed."""
        self.queries += len(x)
        cleaned = clean_tensor(x, self.defense, resources, self.backward)
        logits: torch.Tensor = self.twin(cleaned)
        return logits

    def resubmitted(self, x: torch.Tensor, draws: int) -> torch.Tensor:
        """Logits (draws, n, n_classes) without gradients; the first are the defender's own."""
        with torch.no_grad():
            return torch.stack([self.drawn(x, self._with_draw(draw)) for draw in range(draws)])

    def _with_draw(self, draw: int) -> Resources:
        """The resources with the seed of a further draw; draw 0 is the defender's."""
        if draw == 0:
            return self.resources
        state = np.random.SeedSequence([self.resources.seed, draw]).generate_state(1)
        return Resources(self.resources.dictionaries, int(state[0]))

    def _resources(self) -> list[Resources]:
        if self.draws == 1 or not self.is_random:
            return [self.resources]
        return [self._with_draw(draw) for draw in range(1, self.draws + 1)]
