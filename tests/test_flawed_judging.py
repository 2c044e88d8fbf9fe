"""Flawed images, models and defenses of an evaluation, each of which fails a check."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from onnx import helper

from rsparse.defenses import Defense
from rsparse.defenses.registry import DEFENSES
from tests.flawed import constant_answer, evaluate, failed, network, save_pictures, softmax_inside

if TYPE_CHECKING:
    from rsparse.defenses import Resources

pytest.importorskip("torch")

SLOW = pytest.mark.slow

__all__ = ["evaluate"]  # the fixture


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
