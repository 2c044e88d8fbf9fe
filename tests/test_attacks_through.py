"""Attacks through a defense: the module's bytes, its gradient, and attacks that use it."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.attacks import ATTACKS, Adaptive, Bim, parse_attack
from rsparse.defenses import DEFENSES, NoDefense, Resources, parse_defense
from rsparse.options.attack import BACKWARD_NAMES, BackwardChoice
from rsparse.store.dictionaries import load_dictionary
from tests.conftest import REPOSITORY
from tests.refusals import refused

torch = pytest.importorskip("torch")

from rsparse.attacks import run_attack  # noqa: E402
from rsparse.attacks.through.backwards import backwards_of, trace  # noqa: E402
from rsparse.attacks.through.cleaning import to_images  # noqa: E402
from rsparse.attacks.through.kinds import BACKWARDS  # noqa: E402
from rsparse.attacks.through.module import DefendedModule  # noqa: E402
from tests.toy_networks import linear_problem  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_core")

RESOURCES = Resources({"": load_dictionary(REPOSITORY / "fixtures" / "dict.h5")[0]}, 7)
SPECS = (
    *DEFENSES,
    "regionsparse:sparsity=3,localize=no,prefilter=yes",
    "bilateral+jpeg:quality=40",
    "policy:default",
    "policy:default+slq",
)


def noisy(n: int = 3, side: int = 24, seed: int = 0) -> torch.Tensor:
    """Smooth images with some noise, off the grid of 8-bit levels."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0.2, 0.8, side)
    x = ramp[:, None] * ramp + 0.05 * rng.standard_normal((n, 3, side, side))
    x[0] = ramp  # without noise, so that a policy treats it differently
    return torch.from_numpy(x.clip(0, 1).astype(np.float32))


class Pixels(torch.nn.Module):
    """A classifier whose logits are the sums of the image with fixed weights."""

    n_classes = 4

    def __init__(self, side: int = 24) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        weights = torch.randn(self.n_classes, 3, side, side, generator=generator)
        self.register_buffer("weights", weights)
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.detach().clone())
        return torch.einsum("nchw,kchw->nk", x, self.weights)


def defended(spec: str, **options: object) -> DefendedModule:
    (defense,) = parse_defense(spec)
    return DefendedModule(Pixels().eval(), defense, RESOURCES, **options).eval()


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("differentiate", [False, True])
def test_the_classifier_sees_the_bytes_that_purify_writes(spec, differentiate):
    module, x = defended(spec), noisy()
    for backward in module.backwards:
        module.backward = backward
        module(x.clone().requires_grad_(differentiate))
        seen = to_images(module.twin.seen[-1])
        for image, pixels in zip(to_images(x), seen, strict=True):
            np.testing.assert_array_equal(pixels, module.defense.clean(image, RESOURCES))


@pytest.mark.parametrize("spec", SPECS)
def test_every_defense_has_the_identity_last(spec):
    module, x = defended(spec), noisy().requires_grad_()
    assert module.backwards[-1] == "identity"
    assert set(module.backwards) <= set(BACKWARD_NAMES)
    module.backward = "identity"
    (gradient,) = torch.autograd.grad(module(x)[:, 2].sum(), x)
    assert torch.equal(gradient, module.twin.weights[2].expand_as(x))


def test_every_kind_with_a_backward_is_a_defense_and_names_known_ones():
    assert set(BACKWARDS) <= set(DEFENSES.values())
    for own in BACKWARDS.values():
        assert own
        assert set(own) < set(BACKWARD_NAMES)


def test_only_backwards_that_differ_are_listed():
    (chain,) = parse_defense("none+none")
    assert backwards_of(chain) == ("identity",)


def test_a_chain_is_differentiated_from_its_end_to_its_start(monkeypatch):
    from rsparse.attacks.through.backwards import Traced
    from rsparse.defenses import Chain

    monkeypatch.setitem(
        BACKWARDS, DEFENSES["none"], {"smooth": lambda _, image, __: Traced(image, np.flipud)}
    )
    monkeypatch.setitem(
        BACKWARDS,
        DEFENSES["bit-depth"],
        {
            "smooth": lambda _, image, __: Traced(
                image, lambda g: g * np.arange(4, dtype=np.float32)[:, None, None]
            )
        },
    )
    chain = Chain((DEFENSES["none"](), DEFENSES["bit-depth"]()))
    cleaned, vjp = trace(chain, np.zeros((4, 4, 3), np.uint8), RESOURCES, "smooth")
    assert not cleaned.any()
    assert vjp(np.ones((4, 4, 3), np.float32))[:, 0, 0].tolist() == [3, 2, 1, 0]


def test_a_policy_is_differentiated_through_the_rule_that_it_applies():
    module, x = defended("policy:default"), noisy().requires_grad_()
    assert module.branch(x) == [
        [rule.defense for rule in module.policy.rules].index(module.policy.chosen_for(image))
        for image in to_images(x)
    ]
    assert len(set(module.branch(x))) > 1


def test_a_policy_behind_another_defense_does_not_see_the_image():
    assert defended("bilateral+policy:default").branch(noisy()) is None
    assert defended("policy:default+jpeg").branch(noisy()) is not None


def test_the_worst_case_averages_over_as_many_draws_as_the_module():
    """One step at an eps that fools nobody: the number of draws is what the gradients cost."""
    images = noisy().numpy().transpose(0, 2, 3, 1)
    attack = Adaptive(eps=1, steps=1, fast=True, resubmissions=1)
    for draws in (1, 3, 7):
        module = defended("slq", draws=draws)
        labels = module.drawn(noisy(), RESOURCES).argmax(1).numpy()
        module.queries = 0
        notes = run_attack(module, images, labels, attack).notes
        assert not any(note["reached"] for note in notes)
        asked, gradients = (sum(note[key] for note in notes) for key in ("queries", "gradients"))
        averaged = gradients * draws if draws > 1 else 0  # a single draw is the defender's own
        assert module.queries == asked + averaged + len(notes) * attack.resubmissions


def test_a_random_defense_is_averaged_over_draws_that_are_not_the_defenders():
    module, x = defended("slq", draws=3), noisy().requires_grad_()
    logits = module(x)
    assert module.queries == 9
    seen = module.twin.seen[-3:]
    assert not torch.equal(seen[0], seen[1])
    torch.testing.assert_close(logits, torch.stack([module.twin(each) for each in seen]).mean(0))
    module.draws = 1
    module(x)
    assert not any(torch.equal(module.twin.seen[-1], each) for each in seen)
    asked = module.resubmitted(x.detach(), 3)
    assert torch.equal(asked[0], module.drawn(x.detach(), RESOURCES))
    assert torch.equal(asked[2], torch.einsum("nchw,kchw->nk", seen[1], module.twin.weights))


def test_no_defense_is_the_bare_model():
    twin = Pixels()
    assert Bim().through(twin, NoDefense(), RESOURCES) is twin


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_can_be_made_through_a_defense(name):
    (attack,) = parse_attack(name)
    net, x, y = linear_problem()
    (defense,) = parse_defense("bit-depth:bits=4")
    module = attack.through(net, defense, RESOURCES).eval()
    found = run_attack(module, x, y, attack)
    assert found.x_adv.shape == x.shape
    assert attack.attacks_through


def test_an_unknown_backward_is_refused():
    with refused("none has no backward 'atoms'; it has identity"):
        defended("none", backward="atoms")
    with refused(
        "backward: expected one of atoms, supports, smooth, identity, or strongest, got 'exact'"
    ):
        BackwardChoice(backward="exact")
