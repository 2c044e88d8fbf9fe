"""Flawed evaluations, each of which fails a check, and a sound one that passes all.

Here the networks hide their gradients or the attacks do not do what they say; the others are in
``tests/test_flawed_judging.py``. All of them run ``rsparse evaluate`` on a tiny network
(``tests/flawed.py``). The tests have the names used in docs/evaluate.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from onnx import helper

from rsparse.attacks import ATTACKS, Bim, Fgsm
from tests.flawed import evaluate, failed, network, softmax_inside

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal

pytest.importorskip("torch")

__all__ = ["evaluate"]  # the fixture

SLOW = pytest.mark.slow


def test_a_sound_evaluation_turns_nothing_red(evaluate):
    found = evaluate()
    assert not failed(found)
    assert found["attacks fool the attacked model", ""][0] == "pass"
    assert found["random noise of the same norm is weaker", "none"][0] == "pass"
    assert found["a huge eps reaches chance", "none"][0] == "pass"
    assert found["images judged", ""][0] == "undecided"


# networks that hide their gradients


def rounds_inside(path: Path, leak: float = 0.0) -> Path:
    """The input is rounded to 30 levels; ``leak`` keeps a useless gradient."""

    def before(constants):
        rng = np.random.default_rng(5)
        constants["many"] = np.float32(30)
        constants["leak"] = rng.normal(0, leak, (1, 3, 8, 8)).astype(np.float32)
        nodes = [
            helper.make_node("Mul", ["image", "many"], ["large"]),
            helper.make_node("Round", ["large"], ["whole"]),
            helper.make_node("Div", ["whole", "many"], ["rounded"]),
            helper.make_node("Mul", ["image", "leak"], ["little"]),
            helper.make_node("Add", ["rounded", "little"], ["changed"]),
        ]
        return nodes, "changed"

    return network(path, before=before)


@pytest.mark.parametrize("build", [softmax_inside, pytest.param(rounds_inside, marks=SLOW)])
def test_a_network_whose_gradients_are_zero(evaluate, tmp_path, build):
    found = evaluate(model=build(tmp_path / "model.onnx"))
    assert {"attacks change the images", "a huge eps reaches chance"} <= failed(found)
    outcome, detail = found["attacks change the images", ""]
    assert (outcome, "24 of 24 images" in detail) == ("fail", True)


def test_a_network_whose_gradients_point_nowhere(evaluate, tmp_path):
    found = evaluate(model=rounds_inside(tmp_path / "model.onnx", leak=1e-4))
    assert found["attacks change the images", ""][0] == "pass"
    assert "a huge eps reaches chance" in failed(found)


# attacks that do not do what they claim


@dataclass(frozen=True)
class OneStep(Bim):
    """An attack that makes one step but claims ten."""

    name: ClassVar[str] = "one-step"

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        return Fgsm(eps=self.eps).perturb(model, x, goal)


@dataclass(frozen=True)
class TooFar(Bim):
    """An attack that exceeds its limit by one grey level."""

    name: ClassVar[str] = "too-far"

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        return Fgsm(eps=self.eps + 1).perturb(model, x, goal)


@dataclass(frozen=True)
class Black(Bim):
    """An attack that returns black images, as some attacks do on failure."""

    name: ClassVar[str] = "black"
    strengths: ClassVar[tuple[str, ...]] = ()

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        return 0 * x


@pytest.fixture
def strange_attacks(monkeypatch) -> None:
    for attack in (OneStep, TooFar, Black):
        monkeypatch.setitem(ATTACKS, attack.name, attack)


@pytest.mark.usefixtures("strange_attacks")
@pytest.mark.parametrize(
    ("attack", "name", "words"),
    [
        ("bim:eps=6,step_size=0.2", "attacks use up their limit",
         "10 steps of 0.2 add up to 2 of eps = 6"),
        ("bim:eps=4,steps=1", "attacks use up their limit", "24 of 24 images are changed by"),
        ("too-far:eps=2", "distortion within the limit", "L∞ is 3 grey levels, 2 are allowed"),
        ("black", "no failed attack counts as success", "24 of 24 images are changed by as much"),
        ("bim:eps=1,step_size=0.003", "attacks change the images", "less than half a grey level"),
        ("cw-l2:steps=1,binary_search_steps=1", "searches find an adversarial image",
         "24 of 24 images have no adversarial image"),
    ],
)  # fmt: skip
def test_an_attack_that_is_not_what_it_says(evaluate, attack, name, words):
    outcome, detail = evaluate("--no-extra-checks", attacks=[attack])[name, ""]
    assert outcome == "fail", detail
    assert words in detail


def test_steps_that_are_too_small(evaluate):
    found = evaluate(attacks=["bim:eps=6,step_size=0.2"])
    for name in ("doubling the steps gains nothing", "many steps of BIM are not stronger"):
        assert found[name, "none"][0] == "fail"


@pytest.mark.usefixtures("strange_attacks")
def test_one_step_sold_as_ten(evaluate):
    """Comparing accuracies cannot reveal it, since the attack fools every image."""
    found = evaluate(attacks=["one-step:eps=12"])
    assert found["many steps of BIM are not stronger", "none"][0] == "not run"
    assert failed(found) == {"more steps change the images"}


@pytest.mark.slow
def test_one_step_only(evaluate):
    found = evaluate(attacks=["fgsm:eps=4"])
    assert failed(found) == {"many steps of BIM are not stronger"}
