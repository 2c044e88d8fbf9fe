"""Searches on images of 8 bits: answers in closed form, limits, and what stops early."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.attacks import Adaptive, Apgd, Attack, Bim, Ddn, Pgd, attack_text, parse_attack
from rsparse.core.metrics import l2_distance
from tests.refusals import refused

torch = pytest.importorskip("torch")

from rsparse.attacks import run_attack  # noqa: E402
from rsparse.attacks.goal import Goal  # noqa: E402
from rsparse.attacks.search.descent import Recipe, descend  # noqa: E402
from rsparse.attacks.search.losses import loss_of, margins  # noqa: E402
from rsparse.attacks.search.region import Region  # noqa: E402
from rsparse.attacks.search.shapes import Coarse, Unnoticed  # noqa: E402
from rsparse.attacks.search.steps import AutoSteps, SignSteps, _checkpoints  # noqa: E402
from tests.toy_networks import Linear, classify, linear_problem, smooth_problem, uphill  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_core")

WIDE = (torch.tensor(-100.0), torch.tensor(100.0))


def whole_levels(x: np.ndarray) -> np.ndarray:
    return (np.rint(255 * x) / 255).astype(np.float32)


def channels_first(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


class TestRegion:
    x = torch.arange(256, dtype=torch.float32).reshape(1, 1, 16, 16) / 255

    @pytest.mark.parametrize(
        ("eps", "change"), [(0, 0), (0.5, 0), (1, 1), (1.5, 1), (8, 8), (255, 255)]
    )
    def test_a_file_changes_by_the_whole_levels_of_the_limit(self, eps, change):
        """Also at 0 and 255, where a sum in uint8 would overflow."""
        region, levels = Region.around(self.x, eps), torch.arange(256.0).reshape(1, 1, 16, 16)
        up = 255 * region.image(torch.full_like(self.x, 1000))
        down = 255 * region.image(torch.full_like(self.x, -1000))
        assert torch.equal(up.round(), (levels + change).clamp(max=255))
        assert torch.equal(down.round(), (levels - change).clamp(min=0))
        assert region.allows_change == (change > 0)

    def test_between_two_levels_the_limit_still_holds(self):
        x = torch.full((1, 3, 2, 2), 100.3 / 255)
        region = Region.around(x, 1)
        assert region.low.unique().tolist() == [100]
        assert region.high.unique().tolist() == [101]
        assert Region.around(x, 0.1).image(torch.ones_like(x)).mul(255).unique().tolist() == [100]


class TestLosses:
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])

    def test_margin_is_the_lead_over_the_best_other_class(self):
        assert margins(self.logits, Goal(torch.tensor([0, 2]))).tolist() == [1, -1]

    def test_margin_of_a_target_is_the_lead_of_the_best_other_class_over_it(self):
        goal = Goal(torch.tensor([0, 1]), torch.tensor([1, 1]))
        assert margins(self.logits, goal).tolist() == [2, -1]

    def test_cross_entropy_is_the_likelihood_of_the_label_or_its_opposite_for_a_target(self):
        likelihood = torch.log_softmax(self.logits, 1)
        goal = Goal(torch.tensor([0, 1]))
        assert torch.equal(loss_of("ce", self.logits, goal), likelihood[[0, 1], [0, 1]])
        goal = Goal(torch.tensor([0, 1]), torch.tensor([2, 0]))
        assert torch.equal(loss_of("ce", self.logits, goal), -likelihood[[0, 1], [2, 0]])


class TestSteps:
    ones = torch.ones(1, 3, 2, 2)

    def test_falling_steps_sum_to_the_mean_of_the_first_and_the_last(self):
        steps, value = SignSteps(10, 2.0, falling=True), torch.zeros_like(self.ones)
        for _ in range(10):
            value = steps.next(value, self.ones, torch.zeros(1), WIDE)
        np.testing.assert_allclose(value, -10 * (2.0 + 0.2) / 2, rtol=1e-5)

    def test_momentum_goes_on_against_a_weaker_gradient_once(self):
        """There, the gathered gradient is 1/12, then 0.75/12 − 0.5/9 > 0, then below 0."""
        steps, value = SignSteps(3, 1.0, momentum=0.75), torch.zeros_like(self.ones)
        against = self.ones.clone()
        against[:, :, 0] = -0.5
        found = []
        for gradient in (self.ones, against, against):
            value = steps.next(value, gradient, torch.zeros(1), WIDE)
            found.append(value[0, 0, :, 0].tolist())
        assert found == [[-1, -1], [-2, -2], [-1, -3]]

    def test_apgd_checks_at_the_iterations_of_the_paper(self):
        assert sorted(_checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]

    def test_apgd_halves_its_steps_on_a_valley_and_ends_at_its_bottom(self):
        """From 30, PGD of constant steps of 8 oscillates around 3 for ever."""
        auto, value = AutoSteps(100, eps=8), torch.full((1, 3, 2, 2), 30.0)
        best = torch.inf
        for _ in range(100):
            losses = (value - 3).square().sum((1, 2, 3))
            best = min(best, losses.item())
            value = auto.next(value, 2 * (value - 3), losses, WIDE)
        assert best < 12 * 0.3**2


@pytest.mark.parametrize(
    "attack",
    [
        Pgd(eps=5),
        Pgd(eps=5, loss="ce"),
        Pgd(eps=5, momentum=0.75, falling=True),
        Pgd(eps=5, steps=20, step_size=1, random_start=True),
        Pgd(eps=5.9),
        Apgd(eps=5),
        Apgd(eps=5, loss="margin", restarts=2),
    ],
    ids=repr,
)
def test_a_linear_model_drives_all_to_one_corner(attack: Attack) -> None:
    net, x, _ = linear_problem(margin=3)
    x = whole_levels(x)
    found = run_attack(net, x, classify(net, x), attack).x_adv
    corner = np.rint(255 * x) + 5 * np.sign(uphill(net))
    np.testing.assert_array_equal(np.rint(255 * found), corner)
    np.testing.assert_array_equal(found, whole_levels(found))


def test_a_targeted_search_reaches_its_class() -> None:
    net, x, y = smooth_problem()
    for attack in (Pgd(eps=40, target="2"), Apgd(eps=40, target="2"), Ddn(target="2")):
        found = run_attack(net, x, y, attack)
        assert (classify(net, found.x_adv) == 2).all(), attack


@pytest.mark.parametrize("eps", [2, 4])
def test_never_weaker_than_bim(eps: int) -> None:
    """Each image that BIM turns into a wrong file, PGD and APGD turn into one by its loss."""
    net, x, _ = smooth_problem(20)
    x = whole_levels(x)
    y = classify(net, x)
    by_bim = classify(net, whole_levels(run_attack(net, x, y, Bim(eps=eps)).x_adv)) != y
    attacks = (
        Pgd(eps=eps, loss="ce"),
        Apgd(eps=eps),
        Adaptive(eps=eps),
        Adaptive(eps=eps, fast=True),
    )
    for attack in attacks:
        fooled = classify(net, run_attack(net, x, y, attack).x_adv) != y
        assert (fooled | ~by_bim).all(), attack
    assert by_bim.any()


def test_ddn_finds_the_nearest_adversarial_file() -> None:
    """On a linear model, it is at distance margin/‖w₀ − w₁‖, but for the rounding of its levels."""
    net, x, _ = linear_problem(margin=4)
    x = whole_levels(x)
    y = classify(net, x)
    found = run_attack(net, x, y, Ddn())
    assert not found.failed.any()
    assert (classify(net, found.x_adv) != y).all()
    np.testing.assert_array_equal(found.x_adv, whole_levels(found.x_adv))
    flat = x.reshape(len(x), -1)
    margin = -(flat @ uphill(net).reshape(-1))
    nearest = margin / np.linalg.norm(uphill(net))
    distances = l2_distance(x, found.x_adv)
    assert (distances >= nearest * (1 - 1e-4)).all()
    assert (distances <= nearest * 1.02).all()


def test_ddn_fails_where_nothing_fools_and_leaves_wrong_images_alone() -> None:
    net, x, y = linear_problem(margin=0.4)
    never = Linear(net.weights, np.array([1e6, 0]))
    assert run_attack(never, x, y, Ddn(steps=20)).failed.all()
    found = run_attack(net, whole_levels(x), 1 - classify(net, whole_levels(x)), Ddn(steps=20))
    np.testing.assert_array_equal(found.x_adv, whole_levels(x))


class Counting(torch.nn.Module):
    """A module that counts the images it is asked about, all of whole levels."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net, self.asked = net, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert torch.equal((255 * x).round() / 255, x)
        self.asked.append(len(x))
        return self.net(x)


def test_images_leave_the_batch_as_soon_as_they_fool() -> None:
    """Leads of 1, 4 and 9 fall by ‖w‖₁ a level and step; what is left becomes smaller."""
    net, x, _ = linear_problem(3)
    lead = np.abs(uphill(net)).sum() / 255
    gap = -(x.reshape(3, -1) @ uphill(net).reshape(-1))
    wanted = lead * np.array([1.5, 4.5, 9.5]) - gap
    shift = wanted[:, None, None, None] * uphill(net) / np.sum(uphill(net) ** 2)
    x = x - shift  # not of whole levels, which costs at most half a level
    counting = Counting(net)
    goal = Goal(torch.zeros(3, dtype=torch.int64))
    recipe = Recipe(steps=40, step_size=1 / 12)
    found = descend(counting, channels_first(x.astype(np.float32)), goal, 12, recipe, stop=True)
    assert found.reached.all()
    assert counting.asked[0] == 3
    assert counting.asked == sorted(counting.asked, reverse=True)
    assert sum(counting.asked) == found.asked.sum() < 25
    assert (found.steps + 1 == found.asked).all()
    np.testing.assert_allclose(found.steps, [2, 5, 10], atol=1)
    assert torch.equal(found.lowered, found.compared)  # every step helps on a linear model


def test_without_freedom_nothing_is_searched() -> None:
    net, x, _ = linear_problem()
    counting = Counting(net)
    goal = Goal(torch.zeros(3, dtype=torch.int64))
    found = descend(counting, channels_first(whole_levels(x)), goal, 0.5, Recipe(40))
    assert counting.asked == [3]
    assert torch.equal(found.x_adv, channels_first(whole_levels(x)))


def test_an_image_that_comes_no_nearer_leaves_after_its_patience() -> None:
    """From a corner of the region, no step helps any more; the first five lead there."""
    net, x, _ = linear_problem(margin=9)
    counting = Counting(net)
    goal = Goal(torch.zeros(3, dtype=torch.int64))
    recipe = Recipe(steps=40, step_size=1 / 5, patience=3)
    found = descend(counting, channels_first(whole_levels(x)), goal, 5, recipe, stop=True)
    assert found.steps.tolist() == [5, 5, 5]
    assert counting.asked == [3] * 9
    assert not found.reached.any()


def test_a_guide_gives_the_gradient_and_the_model_the_answer() -> None:
    net, x, y = linear_problem(margin=3)
    flat = Linear(0 * net.weights, np.array([1e-3, 0]))
    goal, pixels = Goal(torch.from_numpy(y)), channels_first(whole_levels(x))
    blind = descend(flat, pixels, goal, 5, Recipe(10))
    assert torch.equal(blind.x_adv, pixels)
    guided = descend(net, pixels, goal, 5, Recipe(10), guide=net)
    alone = descend(net, pixels, goal, 5, Recipe(10))
    assert torch.equal(guided.x_adv, alone.x_adv)
    wrong = Linear(-net.weights, np.zeros(2))
    assert torch.equal(descend(net, pixels, goal, 5, Recipe(10), guide=wrong).x_adv, pixels)


class TestShapes:
    region = Region.around(torch.full((1, 3, 16, 12), 0.5), 8)

    @pytest.mark.parametrize(
        "shape", [Coarse(8), Unnoticed(torch.ones(1, 1, 16, 12))], ids=["coarse", "unnoticed"]
    )
    def test_the_gradient_is_pulled_back_by_the_adjoint(self, shape):
        low, high = shape.bounds(self.region)
        generator = torch.Generator().manual_seed(0)
        variables = torch.randn(low.shape, generator=generator)
        gradient = torch.randn(self.region.origin.shape, generator=generator)
        forward = (shape.change(variables, self.region) * gradient).sum()
        back = (variables * shape.pulled_back(variables, self.region, gradient)).sum()
        np.testing.assert_allclose(forward, back, rtol=1e-4)
        assert (shape.change(high, self.region) <= 8 + 1e-5).all()

    def test_a_coarse_change_has_little_between_neighbours(self):
        low, high = Coarse(8).bounds(self.region)
        assert low.shape == (1, 3, 2, 2)
        generator = torch.Generator().manual_seed(0)
        change = Coarse(8).change(
            high * torch.randn(low.shape, generator=generator).sign(), self.region
        )
        assert change.diff(dim=2).abs().max() <= 16 / 8 + 1e-5

    def test_an_unnoticed_change_has_no_highest_frequency_and_spares_what_is_not_allowed(self):
        allowed = torch.ones(1, 1, 16, 12)
        allowed[..., :4, :] = 0
        shape = Unnoticed(allowed)
        stripes = torch.ones(1, 3, 16, 12)
        stripes[..., ::2] = -1
        assert shape.change(stripes, self.region)[..., :-1].abs().max() == 0
        assert shape.change(torch.ones(1, 3, 16, 12), self.region)[..., :4, :].abs().max() == 0
        assert shape.change(torch.ones(1, 3, 16, 12), self.region)[..., 4:, :].min() == 1


def test_low_frequencies_by_the_parameter_coarse() -> None:
    net, x, _ = smooth_problem()
    x = whole_levels(x)
    y = classify(net, x)
    change = 255 * (run_attack(net, x, y, Pgd(eps=8, coarse=8)).x_adv - x)
    assert np.abs(np.rint(change)).max() <= 8
    assert np.abs(change).max() >= 1
    assert np.abs(np.diff(change, axis=2)).max() <= 16 / 8 + 1  # rounding


def test_specs_and_costs() -> None:
    attacks = parse_attack("pgd:eps=4,steps=10,restarts=3,loss=ce")
    assert [attack_text(attack) for attack in attacks] == ["pgd-eps=4-steps=10-loss=ce-restarts=3"]
    assert attacks[0].passes == 30
    assert (Apgd().passes, Ddn(steps=7).passes) == (100, 7)
    assert attack_text(Ddn()) == "ddn"
    with refused("loss: expected one of margin, ce, got 'dlr'"):
        Pgd(loss="dlr")
