"""The worst case over attacks: where gradients hide, behind a policy, and at random."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from rsparse.attacks import Adaptive, Pgd, Square, parse_attack
from rsparse.core.noise import flattest, noise_level, period_two
from rsparse.data import demo_photos
from rsparse.store.images import decode_image
from tests.refusals import refused

torch = pytest.importorskip("torch")

from rsparse.attacks import run_attack  # noqa: E402
from rsparse.attacks.search.defended import Subject, unnoticed_shape  # noqa: E402
from rsparse.attacks.search.plan import parts_of  # noqa: E402
from rsparse.attacks.search.region import Region  # noqa: E402
from tests.toy_networks import classify, linear_problem, smooth_problem, uphill  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_core")


def whole_levels(x: np.ndarray) -> np.ndarray:
    return (np.rint(255 * x) / 255).astype(np.float32)


class Hidden(torch.nn.Module):
    """A defended module: of its two backwards, the one called the strongest gives no gradient."""

    backwards: ClassVar[tuple[str, ...]] = ("blind", "identity")
    policy = None

    def __init__(self, net: torch.nn.Module, is_random: bool = False) -> None:
        super().__init__()
        self.twin, self.backward, self.draws, self.resources = net, "blind", 1, 0
        self.is_random = is_random
        self.used: list[str] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.used.append(self.backward)
        return self.twin(x * 0 + x.detach() if self.backward == "blind" else x)


class Drawn(Hidden):
    """A random defense: it adds a third of its number, from 0, to the logit of the right class.

    So draw 0 is the weakest, and further draws are harder to fool.
    """

    backwards: ClassVar[tuple[str, ...]] = ("identity",)

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__(net, is_random=True)
        self.backward, self.averaged = "identity", 0

    def drawn(self, x: torch.Tensor, resources: int) -> torch.Tensor:
        return self.twin(x) + torch.tensor([resources / 3, 0])

    def resubmitted(self, x: torch.Tensor, draws: int) -> torch.Tensor:
        return torch.stack([self.drawn(x, draw) for draw in range(draws)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.averaged += self.draws > 1
        return self.drawn(x, 1 + (self.draws - 1) // 2)


def test_a_blind_gradient_is_passed_over_and_the_note_names_the_other():
    net, x, _ = linear_problem(margin=0.4)
    x = whole_levels(x)
    y = classify(net, x)
    module = Hidden(net).eval()
    assert (run_attack(module, x, y, Pgd(eps=16)).x_adv == x).all()
    found = run_attack(module, x, y, Adaptive(eps=16, fast=True))
    assert (classify(net, found.x_adv) != y).all()
    assert {note["backward"] for note in found.notes} == {"identity"}
    assert [note["tried"] for note in found.notes] == [["blind", "identity"]] * 3
    assert {note["by"] for note in found.notes} == {"pgd"}
    assert all(note["gradients"] == 10 + note["steps"] for note in found.notes)
    assert module.backward == "blind"  # as before


def test_an_image_that_is_wrong_unchanged_is_left_alone():
    net, x, _ = linear_problem(margin=0.4)
    x = whole_levels(x)
    found = run_attack(net, x, 1 - classify(net, x), Adaptive())
    np.testing.assert_array_equal(found.x_adv, x)
    assert [note["by"] for note in found.notes] == ["no change"] * 3
    assert [note["queries"] for note in found.notes] == [1] * 3


def test_the_nearest_image_is_the_result_where_nothing_fools():
    net, x, _ = linear_problem(margin=6)
    x = whole_levels(x)
    y = classify(net, x)
    found = run_attack(net, x, y, Adaptive(eps=1, queries=5))
    assert (classify(net, found.x_adv) == y).all()
    corner = np.rint(255 * x) + np.sign(uphill(net))
    np.testing.assert_array_equal(np.rint(255 * found.x_adv), corner)
    every = parts_of(40, ("exact",), evades=False, fast=False)
    assert [note["gradients"] for note in found.notes] == [sum(p.recipe.steps for p in every)] * 3
    assert Adaptive(eps=1, queries=5).passes == found.notes[0]["gradients"] + 2  # a third of 5
    fast = Adaptive(eps=1, fast=True)
    (noted,) = run_attack(net, x[:1], y[:1], fast).notes
    assert noted["gradients"] < fast.passes == 140  # an image that comes no nearer leaves early


def test_squares_are_tried_last():
    """Neither gradient helps: the squares must find it, and each image counts its own queries."""

    class Blind(Hidden):
        backwards: ClassVar[tuple[str, ...]] = ("blind",)

    net, x, _ = linear_problem(margin=1)
    x = whole_levels(x)
    y = classify(net, x)
    module = Blind(net).eval()
    module.twin = Stepped(net)
    found = run_attack(module, x, y, Adaptive(eps=16))
    assert (classify(module, found.x_adv) != y).all()
    assert {note["by"] for note in found.notes} == {"square"}
    assert all(0 < note["steps"] < 200 for note in found.notes)


class Stepped(torch.nn.Module):
    """A network whose input is rounded to 64 levels, so that its gradient is 0."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net((64 * x).round() / 64)


def test_a_random_defense_is_judged_by_the_defenders_draw_and_asked_again():
    net, x, _ = linear_problem(margin=0.4)
    x = whole_levels(x)
    y = classify(net, x)
    module = Drawn(net).eval()
    module.draws = 4
    found = run_attack(module, x, y, Adaptive(eps=16, resubmissions=7))
    assert module.averaged  # EOT for the gradient
    assert (classify(net, found.x_adv) != y).all()
    margins = found.x_adv.reshape(len(x), -1) @ uphill(net).reshape(-1)
    for note, margin in zip(found.notes, margins, strict=True):
        assert note["asked"] == 7
        assert note["fooled"] == sum(margin > draw / 3 for draw in range(7))
    module.draws, module.averaged = 1, 0
    once = run_attack(module, x, y, Adaptive(eps=16))
    assert (classify(net, once.x_adv) != y).all()
    assert not module.averaged


def test_fast_is_a_part_of_the_whole():
    for backwards in (("exact",), ("atoms", "supports", "identity")):
        for evades in (False, True):
            few, every = (parts_of(40, backwards, evades, fast) for fast in (True, False))
            whole = {replace(part, recipe=replace(part.recipe, patience=None)) for part in few}
            assert whole < set(every)
            assert {part.backward for part in every} == set(backwards)
            assert {part.shape for part in few} == ({"plain", "unnoticed"} if evades else {"plain"})
            assert every[0].shape == ("unnoticed" if evades else "plain")


def test_the_results_follow_the_seed_and_no_other():
    net, x, y = smooth_problem(6)
    attack = Adaptive(eps=3, queries=30, fast=True)
    one, same = (run_attack(net, x, y, attack, seed=1) for _ in range(2))
    np.testing.assert_array_equal(one.x_adv, same.x_adv)
    assert one.notes == same.notes


def test_queries_of_attacks_without_gradients_are_noted():
    net, x, y = smooth_problem()
    assert [note["queries"] for note in run_attack(net, x, y, Square(queries=40)).notes] == [40] * 3
    (attack,) = parse_attack("HopSkipJumpAttack:steps=2")
    asked = []
    net.register_forward_hook(lambda _module, given, _out: asked.append(len(given[0])))
    notes = run_attack(net, x, y, attack).notes
    assert 3 * notes[0]["queries"] <= sum(asked) + 3  # the check of the results is not counted
    assert notes[0]["queries"] > 100
    assert run_attack(net, x, y, Pgd(steps=2)).notes is None


def test_mistakes():
    with refused("queries: expected a whole number from 0 to 1000000, got -1"):
        Adaptive(queries=-1)


class TestUnnoticed:
    path = min(demo_photos("test").rglob("*.png"))
    photo = decode_image(path.read_bytes(), path)

    def test_the_flattest_parts_are_those_that_the_noise_depends_on(self):
        """Any strong change elsewhere leaves the noise level as it is."""
        allowed = ~flattest(self.photo, 0.03)
        assert 0.1 < allowed.mean() < 0.98
        change = np.random.default_rng(0).integers(0, 2, self.photo.shape) * 80 - 40
        changed = np.clip(self.photo + change * allowed[..., None], 0, 255).astype(np.uint8)
        assert noise_level(changed) == pytest.approx(noise_level(self.photo), rel=1e-4)
        everywhere = np.clip(self.photo + change, 0, 255).astype(np.uint8)
        assert noise_level(everywhere) > 3 * noise_level(self.photo)

    def test_neither_noise_nor_period_shows_a_change_of_that_shape(self):
        x = torch.from_numpy(self.photo.transpose(2, 0, 1)[None] / np.float32(255))
        region, shape = Region.around(x, 4), unnoticed_shape(x)
        generator = torch.Generator().manual_seed(0)
        dots = torch.zeros_like(x)  # as a network of stride 2 wants
        dots[..., ::2, ::2] = 4 * torch.randn(dots[..., ::2, ::2].shape, generator=generator).sign()
        images = {
            name: (255 * region.image(change)[0]).round().to(torch.uint8).numpy().transpose(1, 2, 0)
            for name, change in (
                ("plain", dots),
                ("unnoticed", shape.change(2 * dots, region)),
            )
        }
        assert noise_level(images["unnoticed"]) < 1.2 * noise_level(self.photo) + 0.1
        assert period_two(images["plain"]) > 5 * period_two(images["unnoticed"]), {
            name: period_two(image) for name, image in images.items()
        }

    def test_a_module_without_a_defense_has_one_gradient_and_no_policy(self):
        subject = Subject(torch.nn.Flatten())
        assert (subject.backwards, subject.has_policy, subject.guide) == (("exact",), False, None)
        assert subject.branches(torch.zeros(1, 3, 4, 4)) is None
