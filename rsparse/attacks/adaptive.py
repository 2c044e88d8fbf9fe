"""Define the attack of someone who knows the defense: the worst of many, image by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rsparse.attacks.attack import Attack, eps_parameter
from rsparse.attacks.goal import target_parameter
from rsparse.options.fields import parameter

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal


@dataclass(frozen=True)
class Adaptive(Attack):
    """The worst of several attacks for each image, each made with knowledge of the defense.

    PGD of ``steps`` steps from the image and from a random point, for the margin and for
    cross-entropy, and for each gradient that the defense offers (BPDA); then 2.5 times as many
    falling steps with momentum, APGD, low frequencies, the transfer from a blurred model, and the
    Square Attack. An image is done as soon as it fools the defended model with its bytes as a file,
    so most need few steps.

    Behind a policy, changes that its statistics do not notice come first. Behind a defense that
    draws random numbers, the gradient is the mean over the draws of the attacked module, and the
    defense is asked again and again: it has to hold each time.

    References
    ----------
    Athalye, Carlini, Wagner (2018), "Obfuscated gradients give a false sense of security".
    Tramèr, Carlini, Brendel, Mądry (2020), "On adaptive attacks to adversarial example defenses".
    """

    name: ClassVar[str] = "adaptive"
    whole_levels: ClassVar[bool] = True
    stops_early: ClassVar[bool] = True

    eps: float = eps_parameter()
    fast: bool = parameter(
        False,
        "Only PGD by two gradients, and falling steps with momentum for the images that are left.",
    )
    steps: int = parameter(
        40,
        "Steps of each PGD; the steps that fall, and APGD, are 2.5 times as many.",
        minimum=1,
        maximum=100_000,
    )
    evade: bool = parameter(
        True, "Begin with changes that a policy's statistics do not notice; only for policies."
    )
    resubmissions: int = parameter(
        10, "Times that a random defense is asked about a result.", minimum=1, maximum=1000
    )
    queries: int = parameter(
        200, "Queries of the Square Attack; 0 leaves it out.", minimum=0, maximum=1_000_000
    )
    target: str | None = target_parameter()

    def attacked(
        self, module: torch.nn.Module, x: torch.Tensor, goal: Goal
    ) -> tuple[torch.Tensor, list[dict[str, Any]] | None]:
        """Run ``search.worst_case.WorstCase``; see ``Attack.attacked``."""
        from rsparse.attacks.search.worst_case import WorstCase

        search = WorstCase(module, x, goal, self)
        return search.run(), search.notes()

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Attack a model of which no more is known than its gradient."""
        import torch

        class Plain(torch.nn.Module):
            def forward(self, images: torch.Tensor) -> torch.Tensor:
                return model(images)

        return self.attacked(Plain().eval(), x, goal)[0]

    @property
    def passes(self) -> int:
        """See ``Attack.passes``: of an image that withstands all parts, by one gradient.

        An image that falls is done at once, mostly in a few steps. A defense with several
        gradients is asked by each.
        """
        from rsparse.attacks.search.plan import parts_of

        parts = parts_of(self.steps, ("",), False, self.fast)
        queries = 0 if self.fast else self.queries
        return sum(part.recipe.steps for part in parts) + -(-queries // 3)
