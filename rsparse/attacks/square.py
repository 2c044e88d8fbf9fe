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

FIRST_SHARE = 0.8  # of an image's area in a square, at the start; 0.05 to 0.8 in the paper
HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # of the queries used


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
        """Run Algorithm 1 on all images together; the random numbers are drawn on the CPU."""
        import torch

        eps = self.eps / 255
        y = goal.labels
        n, channels, height, width = x.shape
        with torch.no_grad():
            stripes = _signs(n, channels, 1, width).to(x)
            best = (x + eps * stripes).clip(0, 1)
            margins = _margins(model(best), y)
            for query in range(1, self.queries):
                tried = best.clone()
                side = self._side(query, height, width)
                rows = torch.randint(0, height - side[0] + 1, (n,)).tolist()
                columns = torch.randint(0, width - side[1] + 1, (n,)).tolist()
                signs = _signs(n, channels, 1, 1).to(x)
                for i in range(n):
                    part = (
                        i,
                        slice(None),
                        slice(rows[i], rows[i] + side[0]),
                        slice(columns[i], columns[i] + side[1]),
                    )
                    tried[part] = (x[part] + eps * signs[i]).clip(0, 1)
                found = _margins(model(tried), y)
                better = found < margins
                best[better], margins[better] = tried[better], found[better]
        return best

    def _side(self, query: int, height: int, width: int) -> tuple[int, int]:
        """Height and width of the square that this query changes."""
        halvings = sum(query / self.queries > used for used in HALVINGS)
        side = round((FIRST_SHARE * 0.5**halvings * height * width) ** 0.5)
        return min(max(side, 1), height), min(max(side, 1), width)

    @property
    def passes(self) -> int:
        """See ``Attack.passes``: one forward pass for each query, a third of a whole pass."""
        return -(-self.queries // 3)


def _signs(*shape: int) -> torch.Tensor:
    """Random signs ±1."""
    import torch

    return 2 * torch.randint(0, 2, shape) - 1


def _margins(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The lead of the correct class over the best other one, (n,)."""
    import torch

    own = logits.gather(1, y[:, None])[:, 0]
    others = logits.scatter(1, y[:, None], -torch.inf)
    return own - others.max(1).values
