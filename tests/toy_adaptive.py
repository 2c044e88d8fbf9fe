"""A scenario whose attacks are made through the defenses, and an attack that supports it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.attacks import Bim
from rsparse.defenses import Defense, Resources
from rsparse.evaluation.scenarios import Scenario
from rsparse.options.attack import BackwardChoice

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ToyScenario(Scenario):
    """The undefended model is attacked through each defense, and is also the judged model."""

    name: ClassVar[str] = "toy-adaptive"
    knows: ClassVar[str] = "the attacker knows the classifier and the defense"
    through: ClassVar[bool] = True


@dataclass(frozen=True)
class ToyAttack(Bim):
    """BIM that treats jpeg as a mirror: through it the gradient has the opposite sign."""

    name: ClassVar[str] = "toy-bim"

    def through(
        self,
        twin: torch.nn.Module,
        defense: Defense,
        resources: Resources,
        choice: BackwardChoice = BackwardChoice(),
    ) -> torch.nn.Module:
        """See ``Attack.through``."""
        import torch

        class Mirror(torch.nn.Module):
            def __init__(self, twin: torch.nn.Module) -> None:
                super().__init__()
                self.twin = twin

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                """Logits of the mirrored images."""
                return self.twin(1 - x)

        return Mirror(twin) if defense.name == "jpeg" else twin


@dataclass(frozen=True)
class BareAttack(Bim):
    """BIM that only attacks the bare model."""

    name: ClassVar[str] = "bare-bim"
    attacks_through: ClassVar[bool] = False
