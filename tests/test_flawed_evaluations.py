"""Flawed evaluations, each of which fails a check, and a sound one that passes all.

All of them run ``rsparse evaluate`` on a tiny network (``tests/flawed.py``). The tests have the
names used in docs/evaluate.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from onnx import helper

from rsparse.attacks import ATTACKS, Bim, Fgsm
from rsparse.defenses import Defense
from rsparse.defenses.registry import DEFENSES
from tests.flawed import CLASSES, network, read_checks, save_pictures

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal
    from rsparse.defenses import Resources

pytest.importorskip("torch")

Outcomes = dict[tuple[str, str], tuple[str, str]]
SLOW = pytest.mark.slow
FGSM_BIM = ("fgsm:eps=4", "bim:eps=4")


@pytest.fixture
def evaluate(tmp_path: Path, run_cli) -> Callable[..., Outcomes]:
    """Run an evaluation; return each check's outcome and detail by name and defense."""

    def run(
        *more: object,
        images: Path | None = None,
        model: Path | None = None,
        attacks: Sequence[str] = FGSM_BIM,
        defense: str = "median",
    ) -> Outcomes:
        images = images or save_pictures(tmp_path / "images", 24)
        model = model or network(tmp_path / "model.onnx")
        given = [word for attack in attacks for word in ("--attack", attack)]
        preset = () if "--preset" in more or "--input-range" in more else ("--preset", "unit")
        result = run_cli(
            "evaluate", images, "-m", model, *given, "--defense", defense, *preset, "-j", 1,
            "-o", tmp_path / "eval", *more,
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        checks = read_checks(tmp_path / "eval")
        return {(c["name"], c["defense"]): (c["outcome"], c["detail"]) for c in checks}

    return run


def failed(outcomes: Outcomes) -> set[str]:
    return {name for (name, _), (outcome, _) in outcomes.items() if outcome == "fail"}


def test_a_sound_evaluation_turns_nothing_red(evaluate):
    found = evaluate()
    assert not failed(found)
    assert found["attacks fool the attacked model", ""][0] == "pass"
    assert found["random noise of the same norm is weaker", "none"][0] == "pass"
    assert found["a huge eps reaches chance", "none"][0] == "pass"
    assert found["images judged", ""][0] == "undecided"


# networks that hide their gradients


def softmax_inside(path: Path) -> Path:
    """The scores mix saturated probabilities, so their gradient is 0 in float32."""

    def after(constants):
        constants["much"] = np.float32(3000)
        constants["mix"] = (5 * np.eye(CLASSES) + 0.1).astype(np.float32)
        nodes = [
            helper.make_node("Mul", ["sound", "much"], ["large"]),
            helper.make_node("Softmax", ["large"], ["shares"], axis=1),
            helper.make_node("MatMul", ["shares", "mix"], ["mixed"]),
        ]
        return nodes, "mixed"

    return network(path, after=after)


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


def constant_answer(path: Path) -> Path:
    """The network assigns class 0 to every image."""

    def after(constants):
        constants["nothing"] = np.float32(0)
        constants["first"] = np.eye(CLASSES, dtype=np.float32)[0]
        nodes = [
            helper.make_node("Mul", ["sound", "nothing"], ["zero"]),
            helper.make_node("Add", ["zero", "first"], ["same"]),
        ]
        return nodes, "same"

    return network(path, after=after)


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


# images, labels and the model's input


def renumbered(images: Path) -> Path:
    """Permute the names of classes 0, 1 and 2."""
    for old, new in (("0", "other"), ("1", "0"), ("2", "1"), ("other", "2")):
        (images / old).rename(images / new)
    return images


def test_labels_in_another_order(evaluate, tmp_path):
    images = renumbered(save_pictures(tmp_path / "images", 24))
    found = evaluate("--all-images", "--no-extra-checks", images=images)
    assert {"clean accuracy", "labels fit the classes"} <= failed(found)
    assert found["labels fit the classes", ""][1] == (
        "labels in another order fit 24 of 24 images, the labels as given 6"
    )
    assert next(iter(found)) == ("clean accuracy", "none")


def test_labels_that_are_shifted(evaluate, tmp_path):
    images = save_pictures(tmp_path / "images", 24)
    shutil.rmtree(images / "3")
    for old in "210":
        (images / old).rename(images / str(int(old) + 1))
    found = evaluate("--all-images", images=images)
    assert failed(found) == {
        "clean accuracy", "labels fit the classes", "attacks fool the attacked model",
    }  # fmt: skip
    assert found["labels fit the classes", ""][1] == (
        "labels less one fit 18 of 18 images, the labels as given 0"
    )
    for name in ("accuracy falls with strength", "random noise of the same norm is weaker"):
        assert found[name, "none"][0] == "not run"


def test_another_input_than_the_network_takes(evaluate):
    found = evaluate("--input-range", 255, "--mean", 0, "--all-images", "--no-extra-checks")
    assert {"clean accuracy", "the model's input is right"} <= failed(found)
    assert (
        "classifies 24 of 24 images, the given input 6"
        in found["the model's input is right", ""][1]
    )


def test_other_channels_of_which_the_right_images_are_chosen(evaluate):
    """By default, only correctly classified images are used: 18 of 24, by chance."""
    found = evaluate("--preset", "unit", "--channels", "bgr", "--no-extra-checks")
    assert found["clean accuracy", "none"][0] == "pass"
    assert found["the model's input is right", ""] == (
        "fail", "model: channel order rgb classifies 24 of 24 images, the given input 18"
    )  # fmt: skip


def test_a_constant_answer_where_one_label_is_frequent(evaluate, tmp_path):
    images = save_pictures(tmp_path / "images", 80)
    for label in "123":
        for path in sorted((images / label).iterdir())[2:]:
            path.unlink()
    model = constant_answer(tmp_path / "model.onnx")
    found = evaluate("--no-extra-checks", images=images, model=model)
    assert found["clean accuracy", "none"] == (
        "fail", "77 % of 26 images, of which only those that are right were judged; chance is "
        "77 %: no better than chance",
    )  # fmt: skip
    assert "the defense changes the answers" in failed(found)


def test_the_same_pictures_twice(evaluate, tmp_path):
    images = save_pictures(tmp_path / "images", 12)
    for path in list(images.rglob("*.png")):
        shutil.copy(path, path.with_name(f"again-{path.name}"))
    found = evaluate("--no-extra-checks", images=images)
    assert failed(found) == {"images are different"}


def test_a_dictionary_learned_from_the_judged_images(evaluate, tmp_path, run_cli):
    images = save_pictures(tmp_path / "images", 24)
    learned = run_cli("learn-dict", images, "-o", tmp_path / "dict.h5", "--patch-size", 4,
                      "--n-atoms", 20, "--patches-per-image", 20, "-j", 1)  # fmt: skip
    assert learned.exit_code == 0, learned.stderr
    found = evaluate("-d", tmp_path / "dict.h5", "--no-extra-checks", images=images)
    assert found["nothing was learned from the images", ""] == (
        "fail", "made from the judged images: dict.h5"
    )  # fmt: skip


# models


def test_a_copy_of_the_model_sold_as_another(evaluate, tmp_path):
    model = network(tmp_path / "model.onnx")
    shutil.copy(model, tmp_path / "other.onnx")
    scenario = f"transfer:model={tmp_path / 'other.onnx'},preset=unit"
    found = evaluate("--scenario", scenario, "--no-extra-checks", model=model)
    assert found["threat model", ""][0] == "fail"


def test_another_input_than_the_second_model_takes(evaluate, tmp_path):
    other = network(tmp_path / "other.onnx")
    found = evaluate(
        "--scenario", f"transfer:model={other},preset=unit,channels=bgr", "--no-extra-checks",
        attacks=["fgsm:eps=4"],
    )  # fmt: skip
    assert found["the model's input is right", ""] == (
        "fail", "other: channel order rgb classifies 24 of 24 images, the given input 18"
    )  # fmt: skip


def test_a_model_that_answers_at_random(evaluate, tmp_path):
    def before(constants):
        nodes = [
            helper.make_node("RandomNormalLike", ["image"], ["noise"], scale=0.15, seed=1.0),
            helper.make_node("Add", ["image", "noise"], ["noisy"]),
        ]
        return nodes, "noisy"

    model = network(tmp_path / "model.onnx", before=before)
    found = evaluate("--no-extra-checks", model=model, attacks=["square:eps=4,queries=20"])
    assert "the attacked model answers alike" in failed(found)


@pytest.mark.slow
def test_transfer_that_is_stronger_than_the_attack_on_the_model_itself(evaluate, tmp_path):
    other = network(tmp_path / "other.onnx")
    found = evaluate(
        "--scenario", "gray-box", "--scenario", f"transfer:model={other},preset=unit",
        "--no-extra-checks", model=softmax_inside(tmp_path / "model.onnx"),
    )  # fmt: skip
    assert "transfer is weaker than gray-box" in failed(found)


# defenses


class _Noisy(Defense):
    def clean(self, image: np.ndarray, resources: Resources, mask: object = None) -> np.ndarray:
        noise = self.generator(image, resources).integers(-self.size, self.size + 1, image.shape)
        return np.clip(image + noise, 0, 255).astype(np.uint8)

    def generator(self, image: np.ndarray, resources: Resources) -> np.random.Generator:
        raise NotImplementedError

    size: ClassVar[int] = 8


@dataclass(frozen=True)
class OnePattern(_Noisy):
    """A defense whose random numbers are drawn once for all images."""

    name: ClassVar[str] = "one-pattern"

    def generator(self, image, resources):
        return np.random.default_rng(0)


@dataclass(frozen=True)
class NoSeed(_Noisy):
    """A defense that claims to be random but always uses the same numbers for an image."""

    name: ClassVar[str] = "no-seed"

    @property
    def is_random(self) -> bool:
        return True

    def generator(self, image, resources):
        return np.random.default_rng(int(image.sum()))


@dataclass(frozen=True)
class Gamble(_Noisy):
    """A defense with so much noise that the prediction depends on the draw."""

    name: ClassVar[str] = "gamble"
    size: ClassVar[int] = 60

    @property
    def is_random(self) -> bool:
        return True

    def generator(self, image, resources):
        return resources.random(image)


@dataclass(frozen=True)
class Unsaid(_Noisy):
    """A defense that is random but does not declare it."""

    name: ClassVar[str] = "unsaid"

    def generator(self, image, resources):
        return np.random.default_rng()


@pytest.mark.parametrize(
    ("defense", "words"),
    [
        ("one-pattern", "it changes every image by the same pattern"),
        ("no-seed", "another seed gives the same images"),
        pytest.param("gamble", "whoever tries again finds a draw that is wrong", marks=SLOW),
        pytest.param("unsaid", "does not say that it is random", marks=SLOW),
    ],
)
def test_a_random_defense_that_is_drawn_once(evaluate, monkeypatch, defense, words):
    for kind in (OnePattern, NoSeed, Gamble, Unsaid):
        monkeypatch.setitem(DEFENSES, kind.name, kind)
    outcome, detail = evaluate(defense=defense)["random numbers are drawn anew", defense]
    assert outcome == "fail", detail
    assert words in detail


def test_a_defense_that_returns_its_input(evaluate):
    found = evaluate("--no-extra-checks", defense="bit-depth:bits=8")
    assert failed(found) == {"the defense changes the answers"}


def test_a_defense_that_destroys_the_images(evaluate):
    found = evaluate("--no-extra-checks", defense="median:size=31")
    assert found["clean accuracy", "median-size=31"][0] == "fail"
