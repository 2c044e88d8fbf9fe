"""Attacks on linear models, for which the answer is known in closed form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rsparse.attacks import Attack, Bim, CwL2, DeepFool, Fgsm, MiFgsm, MiFgsmL2, parse_attack
from rsparse.core.metrics import dissimilarity, l2_distance, linf_distance

torch = pytest.importorskip("torch")

from rsparse.attacks import run_attack  # noqa: E402
from tests.toy_networks import (  # noqa: E402
    classify,
    linear_problem,
    uphill,
)

pytestmark = pytest.mark.usefixtures("one_torch_core")


@pytest.mark.parametrize(
    "attack",
    [Fgsm(eps=5), Bim(eps=5), Bim(eps=5, steps=6, step_size=1), MiFgsm(eps=5)],
    ids=repr,
)
def test_linf_attacks_on_a_linear_model(attack: Attack) -> None:
    """The gradient's sign is the same everywhere, so all end in the same corner of the cube."""
    net, x, y = linear_problem()
    found = run_attack(net, x, y, attack)
    np.testing.assert_allclose(found.x_adv, x + 5 / 255 * np.sign(uphill(net)), atol=1e-6)
    assert not found.failed.any()


def test_step_size_is_in_grey_levels() -> None:
    net, x, y = linear_problem()
    found = run_attack(net, x, y, Bim(eps=9, steps=3, step_size=2))
    np.testing.assert_allclose(found.x_adv, x + 6 / 255 * np.sign(uphill(net)), atol=1e-6)


def test_momentum_of_an_average_d_steps_along_signs() -> None:
    """Before it is scaled, it moves every image by the eps that changes x = 1/2 by d."""
    net, x, y = linear_problem()
    found = run_attack(net, x, y, MiFgsm(d=0.04))
    np.testing.assert_allclose(found.x_adv, x + 0.02 * np.sign(uphill(net)), atol=1e-6)
    slow = run_attack(net, x, y, MiFgsm(d=0.04, steps=3, step_size=0.01))
    np.testing.assert_allclose(slow.x_adv, x + 0.015 * np.sign(uphill(net)), atol=1e-6)


def test_momentum_in_l2_on_a_linear_model() -> None:
    """It moves each image d·‖x‖ along the gradient, where ‖x‖ is the image's own norm."""
    net, x, y = linear_problem()
    x[1] *= 0.5
    y = classify(net, x)
    assert (y == 0).all()
    found = run_attack(net, x, y, MiFgsmL2(d=0.03))
    norms = np.linalg.norm(x.reshape(len(x), -1), axis=1)[:, None, None, None]
    direction = uphill(net) / np.linalg.norm(uphill(net))
    np.testing.assert_allclose(found.x_adv, x + 0.03 * norms * direction, atol=1e-6)


def test_carlini_wagner_finds_the_nearest_adversarial() -> None:
    """On a linear model, it is at distance margin/‖w₀ − w₁‖ along w₁ − w₀."""
    net, x, y = linear_problem(margin=0.4)
    found = run_attack(net, x, y, CwL2(initial_const=0.01, steps=150, step_size=0.002))
    nearest = 0.4 / np.linalg.norm(uphill(net))
    assert (classify(net, found.x_adv) != y).all()
    assert not found.failed.any()
    distances = l2_distance(x, found.x_adv)
    assert (distances >= nearest * (1 - 1e-4)).all()
    assert (distances <= nearest * 1.02).all()
    cosine = np.sum((found.x_adv - x) * uphill(net), axis=(1, 2, 3)) / distances
    np.testing.assert_allclose(cosine / np.linalg.norm(uphill(net)), 1, atol=0.02)


def test_carlini_wagner_confidence_is_a_margin_of_the_logits() -> None:
    net, x, y = linear_problem(margin=0.4)
    attack = CwL2(initial_const=0.02, steps=150, step_size=0.002, confidence=0.2)
    found = run_attack(net, x, y, attack)
    margins = found.x_adv.reshape(len(x), -1) @ uphill(net).reshape(-1)
    assert (margins >= 0.2 - 1e-4).all()
    assert (margins <= 0.22).all()


def test_carlini_wagner_tries_again_with_more_weight() -> None:
    """Here λ must exceed 2·margin/‖w₀ − w₁‖² = 0.0086."""
    net, x, y = linear_problem(margin=0.4)
    attack = CwL2(initial_const=1e-4, steps=150, step_size=0.002, retries=0)
    assert run_attack(net, x, y, attack).failed.all()
    assert run_attack(net, x, y, dataclasses.replace(attack, retries=1)).failed.all()
    found = run_attack(net, x, y, dataclasses.replace(attack, retries=2))
    expected = run_attack(net, x, y, dataclasses.replace(attack, initial_const=1e-2))
    np.testing.assert_array_equal(found.x_adv, expected.x_adv)
    assert (classify(net, found.x_adv) != y).all()


def test_deepfool_by_its_class_name() -> None:
    """It takes one step to the decision boundary and 2 % beyond."""
    net, x, y = linear_problem(margin=0.4)
    (attack,) = parse_attack("L2DeepFoolAttack")
    found = run_attack(net, x, y, attack)
    nearest = 0.4 / np.linalg.norm(uphill(net))
    np.testing.assert_allclose(l2_distance(x, found.x_adv), 1.02 * nearest, rtol=5e-3)


@pytest.mark.parametrize("scale", [1, 2, 5.5])
def test_deepfool_times_a_factor(scale: float) -> None:
    net, x, y = linear_problem(margin=0.4)
    found = run_attack(net, x, y, DeepFool(scale=scale, overshoot=0.1))
    nearest = 0.4 / np.linalg.norm(uphill(net))
    np.testing.assert_allclose(l2_distance(x, found.x_adv), scale * 1.1 * nearest, rtol=5e-3)
    change = found.x_adv - x
    cosine = np.sum(change * uphill(net), axis=(1, 2, 3)) / l2_distance(x, found.x_adv)
    np.testing.assert_allclose(cosine / np.linalg.norm(uphill(net)), 1, atol=1e-4)
    assert not found.failed.any()


def test_deepfool_that_finds_nothing_is_not_multiplied() -> None:
    class Constant(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 0 * x.sum(dim=(1, 2, 3))[:, None] + torch.tensor([1.0, 0.0])

    _, x, y = linear_problem()
    found = run_attack(Constant().eval(), x, np.zeros_like(y), DeepFool(scale=4, steps=3))
    assert found.failed.all()
    np.testing.assert_array_equal(found.x_adv, x)


def test_a_search_is_cut_back_to_its_limit() -> None:
    net, x, y = linear_problem(margin=0.4)
    (attack,) = parse_attack("L2DeepFoolAttack:d=0.001")
    found = run_attack(net, x, y, attack)
    np.testing.assert_allclose(dissimilarity(x, found.x_adv), 0.001, rtol=1e-3)
    assert not found.failed.any()
    assert (classify(net, found.x_adv) == y).all()
    (attack,) = parse_attack("LinfDeepFoolAttack:eps=1")
    found = run_attack(net, x, y, attack)
    np.testing.assert_allclose(255 * linf_distance(x, found.x_adv), 1, rtol=1e-3)


def test_pixels_stay_in_range() -> None:
    net, x, y = linear_problem()
    x = (x > 0.5).astype(np.float32)
    for attack in (
        Fgsm(eps=30),
        MiFgsm(eps=30),
        MiFgsm(d=0.3),
        MiFgsmL2(d=0.3),
        CwL2(),
        DeepFool(scale=30),
    ):
        found = run_attack(net, x, classify(net, x), attack).x_adv
        assert found.min() >= 0
        assert found.max() <= 1
    assert y is not None
