"""Attacks: known answers on linear models first, then foolbox's traps, then every class."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from rsparse.attacks import ATTACKS, Attack, Bim, CwL2, Fgsm, MiFgsm, attack_text, parse_attack
from rsparse.attacks.scaling import Scaling, scale_to_average, scaled
from rsparse.core.metrics import dissimilarity, l2_distance, linf_distance
from tests.refusals import refused

torch = pytest.importorskip("torch")

from rsparse.attacks import run_attack  # noqa: E402
from rsparse.attacks.backend import one_torch_thread  # noqa: E402
from rsparse.attacks.foolbox_classes import foolbox_attack, usable_names  # noqa: E402


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    """Torch's threads would only wait for each other on networks this small."""
    with one_torch_thread():
        yield


class Linear(torch.nn.Module):
    """Logits = weights · pixels + bias, weights (classes, h, w, 3)."""

    def __init__(self, weights: np.ndarray, bias: np.ndarray) -> None:
        super().__init__()
        self.weights, self.bias = weights, bias
        flat = weights.transpose(0, 3, 1, 2).reshape(len(weights), -1)
        self.register_buffer("w", torch.tensor(flat, dtype=torch.float32))
        self.register_buffer("b", torch.tensor(bias, dtype=torch.float32))
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.w.T + self.b


class Smooth(torch.nn.Module):
    """A small network without kinks."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("kernel", 2 * torch.randn(6, 3, 3, 3, generator=generator))
        self.register_buffer("head", 8 * torch.randn(4, 6, generator=generator))
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = torch.nn.functional.conv2d(x - 0.5, self.kernel).tanh().mean((2, 3))
        return features @ self.head.T


SHAPE = (4, 5, 3)


def linear_problem(n: int = 3, margin: float = 0.4) -> tuple[Linear, np.ndarray, np.ndarray]:
    """Two classes; images of class 0 whose logit leads by ``margin``, far from 0 and 1."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(2, *SHAPE))
    x = rng.uniform(0.4, 0.6, (n, *SHAPE)).astype(np.float32)
    gap = x.reshape(n, -1) @ (weights[0] - weights[1]).reshape(-1)
    direction = (weights[0] - weights[1]) / np.sum((weights[0] - weights[1]) ** 2)
    x = (x + (margin - gap)[:, None, None, None] * direction).astype(np.float32)
    return Linear(weights, np.zeros(2)), x, np.zeros(n, np.int64)


def smooth_problem(n: int = 3) -> tuple[Smooth, np.ndarray, np.ndarray]:
    x = np.random.default_rng(2).uniform(0.1, 0.9, (n, 9, 8, 3)).astype(np.float32)
    net = Smooth()
    return net, x, classify(net, x)


def classify(net: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    return net(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).argmax(1).numpy()


def uphill(net: Linear) -> np.ndarray:
    """The gradient of the loss for label 0, but for a positive factor."""
    return net.weights[1] - net.weights[0]


# Closed forms ---------------------------------------------------------------------------------


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


def test_momentum_in_l2_on_a_linear_model() -> None:
    """It goes straight up, d·‖x‖ far, for each image by its own norm."""
    net, x, y = linear_problem()
    x[1] *= 0.5
    y = classify(net, x)
    assert (y == 0).all()
    found = run_attack(net, x, y, MiFgsm(d=0.03))
    norms = np.linalg.norm(x.reshape(len(x), -1), axis=1)[:, None, None, None]
    direction = uphill(net) / np.linalg.norm(uphill(net))
    np.testing.assert_allclose(found.x_adv, x + 0.03 * norms * direction, atol=1e-6)


def test_carlini_wagner_finds_the_nearest_adversarial() -> None:
    """On a linear model it lies margin/‖w₀ − w₁‖ away, along w₁ − w₀."""
    net, x, y = linear_problem(margin=0.4)
    found = run_attack(net, x, y, CwL2(initial_const=0.01, steps=150, step_size=0.002))
    nearest = 0.4 / np.linalg.norm(uphill(net))
    assert found.success.all()
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
    assert found.success.all()


def test_deepfool_by_its_class_name() -> None:
    """One step to the border and 2 % beyond it."""
    net, x, y = linear_problem(margin=0.4)
    (attack,) = parse_attack("L2DeepFoolAttack")
    found = run_attack(net, x, y, attack)
    nearest = 0.4 / np.linalg.norm(uphill(net))
    np.testing.assert_allclose(l2_distance(x, found.x_adv), 1.02 * nearest, rtol=5e-3)


def test_a_search_is_cut_back_to_its_limit() -> None:
    net, x, y = linear_problem(margin=0.4)
    (attack,) = parse_attack("L2DeepFoolAttack:d=0.001")
    found = run_attack(net, x, y, attack)
    np.testing.assert_allclose(dissimilarity(x, found.x_adv), 0.001, rtol=1e-3)
    assert not found.failed.any()
    assert not found.success.any()
    (attack,) = parse_attack("LinfDeepFoolAttack:eps=0.5")
    found = run_attack(net, x, y, attack)
    np.testing.assert_allclose(255 * linf_distance(x, found.x_adv), 0.5, rtol=1e-3)


def test_pixels_stay_in_range() -> None:
    net, x, y = linear_problem()
    x = (x > 0.5).astype(np.float32)
    for attack in (Fgsm(eps=30), MiFgsm(eps=30), MiFgsm(d=0.3), CwL2()):
        found = run_attack(net, x, classify(net, x), attack).x_adv
        assert found.min() >= 0
        assert found.max() <= 1
    assert y is not None


# The traps ------------------------------------------------------------------------------------


def momentum_by_the_book(
    net: torch.nn.Module, x: np.ndarray, y: np.ndarray, limit: np.ndarray, norm: str
) -> np.ndarray:
    """Eq. 3-4 in NumPy, one image at a time, ten steps of a fifth of the limit, mu = 1."""
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


def foolbox_result(net: torch.nn.Module, x: np.ndarray, y: np.ndarray, attack, epsilon) -> tuple:
    """What plain foolbox gives: images (n, h, w, 3) and its own word on success."""
    from foolbox.models import PyTorchModel

    model = PyTorchModel(net, bounds=(0, 1), device="cpu")
    pixels = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    _, clipped, success = attack(model, pixels, torch.from_numpy(y), epsilons=epsilon)
    return clipped.numpy().transpose(0, 2, 3, 1), success.numpy()


def test_trap_1_momentum_gathers_gradients_not_signs() -> None:
    from foolbox.attacks import LinfMomentumIterativeFastGradientMethod

    net, x, y = smooth_problem()
    expected = momentum_by_the_book(net, x, y, np.full(3, 8 / 255), "linf")
    ours = run_attack(net, x, y, MiFgsm(eps=8)).x_adv
    assert (np.abs(ours - expected) > 1e-4).mean() < 0.01  # a sign of a sum near 0 may differ
    theirs, _ = foolbox_result(net, x, y, LinfMomentumIterativeFastGradientMethod(), 8 / 255)
    assert (np.abs(theirs - expected) > 1e-4).mean() > 0.05


def test_trap_1_in_l2() -> None:
    """Gathering g/‖g‖₂ differs as soon as the gradients' shapes do."""
    from foolbox.attacks import L2MomentumIterativeFastGradientMethod

    net, x, y = smooth_problem()
    limits = 0.2 * np.linalg.norm(x.reshape(3, -1), axis=1)
    expected = momentum_by_the_book(net, x, y, limits, "l2")
    ours = run_attack(net, x, y, MiFgsm(d=0.2)).x_adv
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
    assert not ours.success.any()
    np.testing.assert_array_equal(ours.x_adv, x)


def test_trap_2_only_the_failed_image_is_put_back() -> None:
    net, x, y = linear_problem(margin=0.4)
    far = linear_problem(margin=30.0)[1]
    both = np.concatenate([x[:1], np.clip(far[:1], 0, 1)])
    y = classify(net, both)
    found = run_attack(net, both, y, CwL2(initial_const=10, retries=0))
    assert found.failed.tolist() == [False, True]
    assert found.success.tolist() == [True, False]
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


@pytest.mark.parametrize("text", ["mi-fgsm:d=0.05", "L2PGD:d=0.05", "L1PGD:d=0.05"])
def test_trap_4_limits_are_relative_to_each_image(text: str) -> None:
    """Foolbox takes one epsilon for a whole batch; dim images would be changed too much."""
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
    with refused(
        "x: expected float32 images (n, h, w, 3) with n of 1 or more, got float64 (3, 4, 5, 3)"
    ):
        run_attack(net, x.astype(np.float64), y, Fgsm())
    with refused(
        "x: expected float32 images (n, h, w, 3) with n of 1 or more, got float32 (4, 5, 3)"
    ):
        run_attack(net, x[0], y, Fgsm())
    with refused("y: expected 3 whole numbers, got int64 (2,)"):
        run_attack(net, x, y[:2], Fgsm())
    with refused("y: expected 3 whole numbers, got float64 (3,)"):
        run_attack(net, x, y.astype(float), Fgsm())
    with refused("y: expected classes from 0 to 1, got 0 to 2"):
        run_attack(net, x, np.array([0, 0, 2]), Fgsm())
    with refused("twin: is in training mode; call its eval() first"):
        run_attack(Linear(net.weights, net.bias).train(), x, y, Fgsm())


# What foolbox leaves to its callers -----------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*failed to:UserWarning")
def test_one_image_without_a_start_does_not_stop_the_others() -> None:
    """Decision attacks begin at a deceiving image; foolbox gives up all for one without."""
    from foolbox.attacks import BoundaryAttack

    class FlatOrNot(torch.nn.Module):
        """Class 1 where the pixels hardly vary. Noise makes a flat image, but no other, class 0."""

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
    assert found.success.tolist() == [False, True]


def test_no_number_is_a_failure() -> None:
    class Broken(Attack):
        name = "broken"

        def perturb(self, model, x, y):
            return torch.where(y.reshape(-1, 1, 1, 1) == 0, x * torch.nan, x)

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


def test_spatial_attack_draws_from_numpy() -> None:
    net, x, y = smooth_problem()
    (attack,) = parse_attack("SpatialAttack:grid_search=no,random_steps=3,max_translation=2")
    results = [run_attack(net, x, y, attack, seed=3).x_adv for _ in range(2)]
    np.testing.assert_array_equal(*results)


# Every attack ---------------------------------------------------------------------------------

SLOW = {  # to compile or to run; each has its family's tests below
    "L0BrendelBethgeAttack", "L1BrendelBethgeAttack", "L2BrendelBethgeAttack",
    "LinfinityBrendelBethgeAttack", "PointwiseAttack", "HopSkipJumpAttack",
}  # fmt: skip
FEW = {"steps": 4, "directions": 5, "repeats": 3, "binary_search_steps": 2}


def some_of_each() -> list[Attack]:
    """Our attacks, and foolbox's with few steps; aliases are left out."""
    import foolbox.attacks

    found: list[Attack] = [kind() for kind in ATTACKS.values()]
    found += [MiFgsm(eps=8), CwL2(steps=20, initial_const=10)]
    for name in usable_names():
        if name in SLOW or getattr(foolbox.attacks, name).__name__ != name:
            continue
        kind = foolbox_attack(name)
        assert kind is not None
        fields = {field: FEW[field] for field in kind.__dataclass_fields__ if field in FEW}
        found.append(kind(**fields))
    return found


@pytest.mark.parametrize("attack", some_of_each(), ids=repr)
def test_conformance(attack: Attack) -> None:
    net, x, y = smooth_problem()
    before = x.copy()
    found = run_attack(net, x, y, attack, seed=7)
    np.testing.assert_array_equal(x, before)
    assert found.x_adv.shape == x.shape
    assert found.x_adv.dtype == np.float32
    assert found.x_adv.min() >= 0
    assert found.x_adv.max() <= 1
    assert found.failed.shape == found.success.shape == (len(x),)
    assert found.failed.dtype == found.success.dtype == np.bool_
    np.testing.assert_array_equal(classify(net, found.x_adv) != y, found.success)
    np.testing.assert_array_equal(found.x_adv[found.failed], x[found.failed])
    assert not (attack.seeks_minimum and (found.failed & found.success).any())
    eps, d = getattr(attack, "eps", None), getattr(attack, "d", None)
    if eps is not None:
        assert (255 * linf_distance(x, found.x_adv) <= eps * (1 + 1e-4)).all()
    if d is not None:
        p = 1 if attack.norm == "l1" else 2
        change = np.linalg.norm((found.x_adv - x).reshape(len(x), -1), ord=p, axis=1)
        assert (change <= d * np.linalg.norm(x.reshape(len(x), -1), ord=p, axis=1) * 1.0001).all()


@pytest.mark.parametrize("name", usable_names())
def test_foolbox_classes_by_name(name: str) -> None:
    kind = foolbox_attack(name)
    assert kind is foolbox_attack(name)
    fields = dataclasses.fields(kind)
    needed = [f"{field.name}=3" for field in fields if field.default is dataclasses.MISSING]
    (attack,) = parse_attack(f"{name}:{','.join(needed)}")
    assert attack.as_record()["name"] == name
    assert attack_text(attack).startswith(name)
    assert repr(attack).startswith(f"{name}(")
    assert {"eps", "d"}.isdisjoint(attack.strengths) == (attack.norm in (None, "l0"))
    if not attack.seeks_minimum:
        assert attack.norm is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GenAttack", "foolbox's GenAttack cannot be used here: it needs a class to aim at"),
        (
            "DatasetAttack",
            "foolbox's DatasetAttack cannot be used here: it needs a set of images to choose from",
        ),
        (
            "BinarizationRefinementAttack",
            "foolbox's BinarizationRefinementAttack cannot be used here: "
            "it refines the result of another attack",
        ),
        (
            "L2AdamBasicIterativeAttack",
            "foolbox's L2AdamBasicIterativeAttack never uses Adam and equals "
            "L2BasicIterativeAttack; use that or L2AdamPGD",
        ),
        (
            "LinfPDG:eps=8",
            "unknown attack 'LinfPDG'; did you mean LinfPGD? Known: fgsm, bim, mi-fgsm, cw-l2",
        ),
        (
            "LinfPGD:step=3",
            "attack 'LinfPGD:step=3': unknown parameter 'step'; did you mean steps? "
            "Known: eps, rel_stepsize, abs_stepsize, steps, random_start",
        ),
        (
            "LinfPGD:random_start=maybe",
            "attack 'LinfPGD:random_start=maybe': "
            "random_start: expected true or false, got 'maybe'",
        ),
        (
            "L2DeepFoolAttack:loss=hinge",
            "attack 'L2DeepFoolAttack:loss=hinge': "
            "loss: expected one of logits, crossentropy, got 'hinge'",
        ),
        (
            "VirtualAdversarialAttack",
            "attack 'VirtualAdversarialAttack': needs steps=…, a whole number",
        ),
        (
            "InversionAttack:eps=3",
            "attack 'InversionAttack:eps=3': unknown parameter 'eps'; it takes none",
        ),
    ],
)
def test_mistakes_with_foolbox_classes(text: str, message: str) -> None:
    with refused(message):
        parse_attack(text)


def test_two_classes_of_foolbox_forget_adam() -> None:
    """What the refusal above says: their results are those of plain gradient descent."""
    from foolbox.attacks import L2AdamBasicIterativeAttack, L2BasicIterativeAttack

    net, x, y = smooth_problem()
    adam, _ = foolbox_result(net, x, y, L2AdamBasicIterativeAttack(), 0.5)
    plain, _ = foolbox_result(net, x, y, L2BasicIterativeAttack(), 0.5)
    np.testing.assert_array_equal(adam, plain)


# Scaling to an average dissimilarity ----------------------------------------------------------


def scaling_of(x: np.ndarray, x_adv: np.ndarray, d: float) -> Scaling:
    return scale_to_average(lambda: zip(x, x_adv, strict=True), d)


def test_scaling_without_clipping_is_a_quotient() -> None:
    _, x, _ = linear_problem()
    x_adv = x + np.float32(0.001) * np.arange(1, 4, dtype=np.float32)[:, None, None, None]
    raw = dissimilarity(x, x_adv).mean()
    found = scaling_of(x, x_adv, 0.05)
    assert found.d_raw == pytest.approx(raw)
    assert found.tau == pytest.approx(0.05 / raw, rel=1e-4)
    assert dissimilarity(x, scaled(x, x_adv, found.tau)).mean() == pytest.approx(0.05, rel=1e-4)


def test_scaling_makes_up_for_clipped_pixels() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (4, 8, 8, 3)).astype(np.float32)
    x_adv = np.clip(x + rng.normal(0, 0.004, x.shape), 0, 1).astype(np.float32)
    found = scaling_of(x, x_adv, 0.2)
    assert found.tau > 0.2 / found.d_raw * 1.02
    reached = dissimilarity(x, scaled(x, x_adv, found.tau)).mean()
    assert found.d == pytest.approx(reached)
    assert reached == pytest.approx(0.2, rel=1.01e-4)


def test_scaling_never_shrinks() -> None:
    _, x, _ = linear_problem()
    found = scaling_of(x, x + np.float32(0.1), 0.05)
    assert found.tau == 1
    assert found.d == found.d_raw > 0.05


def test_scaling_beyond_black_and_white_stops() -> None:
    x = np.full((1, 2, 2, 3), 0.9, np.float32)
    found = scaling_of(x, x + np.float32(0.01), 0.5)
    assert found.d == pytest.approx(1 / 9, rel=1e-5)


def test_scaling_of_nothing() -> None:
    empty = np.zeros((0, 2, 2, 3), np.float32)
    assert scaling_of(empty, empty, 0.1) == Scaling(1.0, 0.0, 0.0)
    x = np.full((2, 2, 2, 3), 0.5, np.float32)
    assert scaling_of(x, x, 0.1) == Scaling(1.0, 0.0, 0.0)
