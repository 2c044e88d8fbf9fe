"""Pitfalls of foolbox, and what it leaves to the caller."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.attacks import Attack, CwL2, Fgsm, MiFgsm, MiFgsmL2, parse_attack
from rsparse.core.metrics import dissimilarity
from tests.refusals import refused

torch = pytest.importorskip("torch")

from rsparse.attacks import run_attack  # noqa: E402
from tests.toy_networks import (  # noqa: E402
    Linear,
    classify,
    foolbox_result,
    linear_problem,
    smooth_problem,
)

pytestmark = pytest.mark.usefixtures("one_torch_core")


def momentum_by_the_book(
    net: torch.nn.Module, x: np.ndarray, y: np.ndarray, limit: np.ndarray, norm: str
) -> np.ndarray:
    """Eq. 3-4 in NumPy, one image at a time: ten steps of limit / 5, mu = 1."""
    x_adv = x.astype(np.float64)
    for i in range(len(x)):
        gathered = np.zeros_like(x_adv[i])
        for _ in range(10):
            pixels = torch.from_numpy(x_adv[i : i + 1].transpose(0, 3, 1, 2).astype(np.float32))
            pixels.requires_grad_(True)
            loss = torch.nn.functional.cross_entropy(net(pixels), torch.tensor(y[i : i + 1]))
            (gradient,) = torch.autograd.grad(loss, pixels)
            g = gradient[0].numpy().transpose(1, 2, 0).astype(np.float64)
            gathered = gathered + g / np.abs(g).sum()  # eq. 3
            if norm == "linf":
                change = x_adv[i] + limit[i] / 5 * np.sign(gathered) - x[i]  # eq. 4
                change = np.clip(change, -limit[i], limit[i])
            else:
                change = x_adv[i] + limit[i] / 5 * gathered / np.linalg.norm(gathered) - x[i]
                change *= min(1, limit[i] / np.linalg.norm(change))
            x_adv[i] = np.clip(x[i] + change, 0, 1)
    return x_adv


def test_trap_1_momentum_gathers_gradients_not_signs() -> None:
    from foolbox.attacks import LinfMomentumIterativeFastGradientMethod

    net, x, y = smooth_problem()
    expected = momentum_by_the_book(net, x, y, np.full(3, 8 / 255), "linf")
    ours = run_attack(net, x, y, MiFgsm(eps=8)).x_adv
    assert (np.abs(ours - expected) > 1e-4).mean() < 0.01  # signs of sums near 0 may differ
    theirs, _ = foolbox_result(net, x, y, LinfMomentumIterativeFastGradientMethod(), 8 / 255)
    assert (np.abs(theirs - expected) > 1e-4).mean() > 0.05


def test_trap_1_in_l2() -> None:
    """Accumulating g/‖g‖₂ gives another result if the gradients' shapes differ."""
    from foolbox.attacks import L2MomentumIterativeFastGradientMethod

    net, x, y = smooth_problem()
    limits = 0.2 * np.linalg.norm(x.reshape(3, -1), axis=1)
    expected = momentum_by_the_book(net, x, y, limits, "l2")
    ours = run_attack(net, x, y, MiFgsmL2(d=0.2)).x_adv
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    theirs, _ = foolbox_result(
        net, x[:1], y[:1], L2MomentumIterativeFastGradientMethod(), float(limits[0])
    )
    assert np.abs(theirs[0] - expected[0]).max() > 1e-4


def test_trap_2_a_failed_search_is_black_and_counts_as_success() -> None:
    from foolbox.attacks import L2CarliniWagnerAttack

    net, x, y = linear_problem(margin=2.0)
    net.b[1] = 0.1  # so that black belongs to class 1
    y = classify(net, x)
    theirs, success = foolbox_result(
        net, x, y, L2CarliniWagnerAttack(binary_search_steps=1, steps=5), None
    )
    assert (theirs == 0).all()
    assert success.all()
    ours = run_attack(net, x, y, CwL2(initial_const=1e-3, steps=5, retries=0))
    assert ours.failed.all()
    assert (classify(net, ours.x_adv) == y).all()
    np.testing.assert_array_equal(ours.x_adv, x)


def test_trap_2_only_the_failed_image_is_put_back() -> None:
    net, x, y = linear_problem(margin=0.4)
    far = linear_problem(margin=30.0)[1]
    both = np.concatenate([x[:1], np.clip(far[:1], 0, 1)])
    y = classify(net, both)
    found = run_attack(net, both, y, CwL2(initial_const=10, retries=0))
    assert found.failed.tolist() == [False, True]
    assert (classify(net, found.x_adv) != y).tolist() == [True, False]
    np.testing.assert_array_equal(found.x_adv[1], both[1])


def test_a_black_original_is_no_failure_in_itself() -> None:
    net, x, y = linear_problem(n=1)
    found = run_attack(net, np.zeros_like(x), y, Fgsm(eps=3))
    assert not found.failed.any()


def test_trap_3_numpy_has_no_gradients() -> None:
    from foolbox.attacks import L2CarliniWagnerAttack
    from foolbox.models import NumPyModel

    net, x, y = linear_problem()
    weights = net.w.numpy().T
    model = NumPyModel(lambda a: a.reshape(len(a), -1) @ weights, bounds=(0, 1))
    with pytest.raises(NotImplementedError):
        L2CarliniWagnerAttack(steps=2)(model, x.transpose(0, 3, 1, 2), y, epsilons=None)


@pytest.mark.parametrize("text", ["mi-fgsm-l2:d=0.05", "L2PGD:d=0.05", "L1PGD:d=0.05"])
def test_trap_4_limits_are_relative_to_each_image(text: str) -> None:
    """Foolbox uses one epsilon for a whole batch, which would change dark images too much."""
    net, x, _ = smooth_problem()
    x *= np.array([1, 0.5, 0.1], np.float32)[:, None, None, None]
    (attack,) = parse_attack(text)
    found = run_attack(net, x, classify(net, x), attack).x_adv
    if text.startswith("L1"):
        d = np.abs(found - x).sum((1, 2, 3)) / np.abs(x).sum((1, 2, 3))
    else:
        d = dissimilarity(x, found)
    assert (d <= 0.05 * (1 + 1e-4)).all()
    assert (d >= 0.03).all()


def test_trap_5_foolbox_asserts_without_a_word() -> None:
    from foolbox.attacks import LinfFastGradientAttack

    net, x, y = linear_problem()
    with pytest.raises(AssertionError, match=r"\A\Z"):
        foolbox_result(net, 255 * x, y, LinfFastGradientAttack(), 8 / 255)
    with refused(f"x: expected values from 0 to 1, got {x.min() * 255:g} to {x.max() * 255:g}"):
        run_attack(net, 255 * x, y, Fgsm())


def test_unusable_arrays_are_refused() -> None:
    net, x, y = linear_problem()
    hole = x.copy()
    hole[0, 0, 0, 0] = np.nan
    with refused("x: expected values from 0 to 1, got nan to nan"):
        run_attack(net, hole, y, Fgsm())
    with refused("x: expected float32 images (n, h, w, 3), n at least 1, got float64 (3, 4, 5, 3)"):
        run_attack(net, x.astype(np.float64), y, Fgsm())
    with refused("x: expected float32 images (n, h, w, 3), n at least 1, got float32 (4, 5, 3)"):
        run_attack(net, x[0], y, Fgsm())
    with refused("y: expected 3 whole numbers, got int64 (2,)"):
        run_attack(net, x, y[:2], Fgsm())
    with refused("y: expected 3 whole numbers, got float64 (3,)"):
        run_attack(net, x, y.astype(float), Fgsm())
    with refused("y: expected classes from 0 to 1, got 0 to 2"):
        run_attack(net, x, np.array([0, 0, 2]), Fgsm())
    with refused("twin: is in training mode; call twin.eval() first"):
        run_attack(Linear(net.weights, net.bias).train(), x, y, Fgsm())


@pytest.mark.filterwarnings("ignore:.*failed to:UserWarning")
def test_one_image_without_a_start_does_not_stop_the_others() -> None:
    """Decision attacks need a misclassified start; foolbox gives up if one image has none."""
    from foolbox.attacks import BoundaryAttack

    class FlatOrNot(torch.nn.Module):
        """Class 1 if the pixels hardly vary. Noise turns only flat images into class 0."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            variance = x.flatten(1).var(1)
            return torch.stack([variance, torch.full_like(variance, 0.02)], dim=1)

    net = FlatOrNot().eval()
    x = np.full((2, 6, 6, 3), 0.4, np.float32)
    x[0, ::2] = 0
    x[0, 1::2] = 1
    y = np.array([0, 1])
    np.testing.assert_array_equal(classify(net, x), y)
    with pytest.raises(ValueError, match="init_attack failed"):
        foolbox_result(net, x, y, BoundaryAttack(steps=2), None)
    (attack,) = parse_attack("BoundaryAttack:steps=2")
    found = run_attack(net, x, y, attack)
    np.testing.assert_array_equal(found.x_adv[0], x[0])
    assert found.failed.tolist() == [True, False]
    assert (classify(net, found.x_adv) != y).tolist() == [False, True]


def test_no_number_is_a_failure() -> None:
    class Broken(Attack):
        name = "broken"

        def perturb(self, model, x, goal):
            return torch.where(goal.labels.reshape(-1, 1, 1, 1) == 0, x * torch.nan, x)

    net, x, _ = linear_problem()
    found = run_attack(net, x, np.array([0, 1, 0]), Broken())
    assert found.failed.tolist() == [True, False, True]
    np.testing.assert_array_equal(found.x_adv, x)


def test_what_foolbox_refuses_is_one_line() -> None:
    net, x, y = linear_problem()
    (attack,) = parse_attack("SparseL1DescentAttack:quantile=2")
    with refused(
        "SparseL1DescentAttack: refused by foolbox: quantile needs to be between 0 and 1, got 2.0"
    ):
        run_attack(net, x, y, attack)


def test_random_numbers_come_from_the_seed_alone() -> None:
    net, x, y = smooth_problem()
    (attack,) = parse_attack("LinfPGD:steps=3")
    first = run_attack(net, x, y, attack, seed=1).x_adv
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    second = run_attack(net, x, y, attack, seed=1).x_adv
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    np.testing.assert_array_equal(first, second)
    assert (run_attack(net, x, y, attack, seed=2).x_adv != first).any()


def test_only_errors_of_foolbox_are_called_its_refusals(monkeypatch) -> None:
    """One in the attacked module, or in an attack of our own, is a bug with a traceback."""

    class Broken(torch.nn.Module):
        n_classes = 4

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise TypeError("a bug of ours")

    _, x, y = smooth_problem()
    for text in ("LinfPGD:eps=8", "pgd:eps=8", "adaptive"):
        (attack,) = parse_attack(text)
        with monkeypatch.context() as patch:
            patch.setattr(Broken, "__module__", "rsparse.somewhere")
            patch.setitem(Broken.forward.__globals__, "__name__", "rsparse.somewhere")
            with pytest.raises(TypeError, match="^a bug of ours$"):
                run_attack(Broken().eval(), x, y, attack)


def test_spatial_attack_draws_from_numpy() -> None:
    net, x, y = smooth_problem()
    (attack,) = parse_attack("SpatialAttack:grid_search=no,random_steps=3,max_translation=2")
    results = [run_attack(net, x, y, attack, seed=3).x_adv for _ in range(2)]
    np.testing.assert_array_equal(*results)
