"""The Square Attack: what it may change, and that it succeeds without gradients."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.attacks import Fgsm, Square, attack_text, parse_attack
from tests.refusals import refused

torch = pytest.importorskip("torch")

from rsparse.attacks import run_attack  # noqa: E402
from tests.toy_networks import classify, linear_problem  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_core")


class Rounded(torch.nn.Module):
    """A network whose input is rounded to 64 levels, so that its gradient is 0."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net((64 * x).round() / 64)


def margins(net: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    logits = net(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).detach().numpy()
    return logits[:, 0] - logits[:, 1]


def test_it_changes_every_value_by_eps_and_brings_the_other_class_closer():
    net, x, y = linear_problem(margin=2.0)
    few, many = (run_attack(net, x, y, Square(eps=8, queries=q)).x_adv for q in (1, 200))
    np.testing.assert_allclose(np.abs(few - x), 8 / 255, atol=1e-6)
    assert np.abs(many - x).max() <= 8 / 255 + 1e-6
    assert (margins(net, many) < margins(net, few)).all()


def test_it_fools_a_network_whose_gradient_is_zero():
    net, x, y = linear_problem(margin=0.3)
    hidden = Rounded(net)
    assert (run_attack(hidden, x, y, Fgsm(eps=16)).x_adv == x).all()
    found = run_attack(hidden, x, y, Square(eps=16, queries=200)).x_adv
    assert (classify(hidden, x) == y).all()
    assert (classify(hidden, found) != y).all()


def test_it_follows_the_seed():
    net, x, y = linear_problem()
    one, same, other = (run_attack(net, x, y, Square(), seed).x_adv for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_its_spec_and_cost():
    (attack,) = parse_attack("square:eps=4,queries=90")
    assert attack_text(attack) == "square-eps=4-queries=90"
    assert attack.passes == 30
    with refused("queries: expected a whole number from 1 to 1000000, got 0"):
        Square(queries=0)
