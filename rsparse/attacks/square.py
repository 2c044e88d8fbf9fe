"""Define a search without gradients: the Square Attack in L∞."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rsparse.attacks.attack import Attack, eps_parameter
from rsparse.options.fields import parameter

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal


@dataclass(frozen=True)
class Square(Attack):
    """Random squares of ±eps, each kept if it brings another class closer.

    It uses only the scores of the model, so it finds what a model without useful gradients hides.
    It starts with vertical stripes. The area of the squares is halved as the queries are used up.

    References
    ----------
    Andriushchenko, Croce, Flammarion, Hein (2020), "Square Attack: a query-efficient black-box
    adversarial attack via random search", Algorithms 1 and 2.
    """

    name: ClassVar[str] = "square"
    needs_gradients: ClassVar[bool] = False

    eps: float = eps_parameter()
    queries: int = parameter(100, "Number of changes that are tried.", minimum=1, maximum=1_000_000)

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Run ``search.squares.squares``."""
        from rsparse.attacks.search.squares import squares

        return squares(model, x, goal, self.eps / 255, self.queries).x_adv

    @property
    def passes(self) -> int:
        """See ``Attack.passes``: one forward pass for each query, a third of a whole pass."""
        return -(-self.queries // 3)
