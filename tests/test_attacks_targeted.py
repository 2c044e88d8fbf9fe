"""Targeted attacks: they reach the requested class, and success is counted both ways."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rsparse.attacks import parse_attack
from rsparse.attacks.goal import class_index
from rsparse.errors import InputError
from tests.colours import MARGINS, MODEL, colours, entries_of, picture, read, save
from tests.refusals import refused

torch = pytest.importorskip("torch")

from rsparse.attacks import run_attack  # noqa: E402
from tests.toy_networks import Linear, classify, smooth_problem  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_core")

__all__ = ["colours"]  # a fixture


def three_classes() -> tuple[Linear, np.ndarray, np.ndarray]:
    """The logits are the channel sums; every image is of class 0, and class 2 ranks last."""
    weights = np.zeros((3, 4, 5, 3))
    for channel in range(3):
        weights[channel, :, :, channel] = 1
    x = np.random.default_rng(3).uniform(0.45, 0.5, (4, 4, 5, 3)).astype(np.float32)
    x[..., 0] += 0.06
    x[..., 2] -= 0.06
    return Linear(weights, np.zeros(3)), x, np.zeros(4, np.int64)


@pytest.mark.parametrize("target", [1, 2])
def test_bim_moves_every_pixel_towards_the_target_in_closed_form(target: int) -> None:
    net, x, y = three_classes()
    (attack,) = parse_attack(f"bim:eps=51,steps=5,target={target}")
    found = run_attack(net, x, y, attack)
    up = np.where(np.arange(3) == target, 0.2, -0.2).astype(np.float32)
    np.testing.assert_allclose(found.x_adv, np.clip(x + up, 0, 1), atol=1e-6)
    assert found.targets.tolist() == [target] * 4
    assert classify(net, found.x_adv).tolist() == [target] * 4


def test_least_likely_is_the_smallest_logit() -> None:
    net, x, y = three_classes()
    (attack,) = parse_attack("bim:eps=40,target=least-likely")
    found = run_attack(net, x, y, attack)
    assert found.targets.tolist() == [2] * 4
    assert classify(net, found.x_adv).tolist() == [2] * 4


def test_random_targets_come_from_the_seed_and_are_never_the_label() -> None:
    net, x, y = three_classes()
    (attack,) = parse_attack("bim:eps=40,target=random")
    drawn = [run_attack(net, x, y, attack, seed).targets for seed in range(8)]
    np.testing.assert_array_equal(drawn[3], run_attack(net, x, y, attack, 3).targets)
    assert set(np.concatenate(drawn).tolist()) == {1, 2}


@pytest.mark.parametrize(
    "attack",
    ["mi-fgsm:eps=60", "mi-fgsm:d=.6", "cw-l2:initial_const=10", "LinfPGD:eps=60",
     "DDNAttack:steps=40", "L2FMNAttack:steps=60", "EADAttack:steps=60", "GenAttack:eps=60",
     "L2CarliniWagnerAttack:steps=60,binary_search_steps=3"],
)  # fmt: skip
def test_every_attack_that_foolbox_can_aim_reaches_the_target(attack: str) -> None:
    net, x, y = smooth_problem()
    (chosen,) = parse_attack(f"{attack},target=least-likely")
    found = run_attack(net, x, y, chosen)
    reached = classify(net, found.x_adv) == found.targets
    assert reached.any()
    if chosen.seeks_minimum:
        np.testing.assert_array_equal(reached, ~found.failed)


@pytest.mark.parametrize("attack", ["fgsm:eps=2", "L2DeepFoolAttack:steps=3", "noise"])
def test_an_attack_without_an_aim_has_no_target(attack: str) -> None:
    text = f"{attack}{',' if ':' in attack else ':'}target=1"
    with pytest.raises(InputError, match="unknown parameter 'target'"):
        parse_attack(text)


def test_a_target_that_is_no_class_is_refused() -> None:
    net, x, y = three_classes()
    (attack,) = parse_attack("bim:target=3")
    with refused("target: expected least-likely, random or a class from 0 to 2, got '3'"):
        run_attack(net, x, y, attack)


def test_classes_by_name() -> None:
    names = ["tench, Tinca tinca", "crane", "crane", "great white shark, white shark", "white"]
    assert class_index("Tinca Tinca", names) == 0
    assert class_index("white shark", names) == 3
    assert class_index("white", names) == 4
    assert class_index("crane", names) is None
    assert class_index("shark", names) is None


def test_the_command_counts_success_both_ways(run_cli, colours, tmp_path):
    """At eps 8, only margins below 16 leave red; blue/mid already has the target class."""
    out = tmp_path / "adv"
    result = run_cli(
        "attack", colours, "-m", MODEL, "-a", "bim:eps=8,target=2", "-o", out, "--json"
    )
    assert result.exit_code == 0
    entries = entries_of(out)
    for name, entry in entries.items():
        assert entry["target"] == 2
        assert entry["target_reached"] == (entry["prediction"] == 2)
        assert entry["success"] == (entry["prediction"] != entry["label"])
        if not name.startswith("blue"):
            assert entry["target_reached"] == (MARGINS[name] < 16)
    (summary,) = json.loads(result.stdout)["attacks"]
    assert summary["target_reached"] == pytest.approx(2 / 3)
    assert summary["success"] == pytest.approx(2 / 4)
    result = run_cli(
        "attack", colours, "-m", MODEL, "-a", "bim:eps=8,target=2", "-o", out, "--overwrite"
    )
    assert "target %" in result.stderr
    row = next(line.split() for line in result.stderr.splitlines() if "50 → 50" in line)
    assert row[-5] == "67"


def test_an_image_that_has_the_target_as_its_label_is_not_counted_as_reached(
    run_cli, colours, tmp_path
):
    """Of the three others, two have a margin that eps 8 undoes; nothing is asked of blue/mid."""
    arguments = ("attack", colours, "-m", MODEL, "-a", "adaptive:eps=8,target=2,fast=yes")
    result = run_cli(*arguments, "-o", tmp_path / "adv", "--json")
    (summary,) = json.loads(result.stdout)["attacks"]
    assert (summary["notes"]["reached"], summary["notes"]["images"]) == (2, 3)
    assert summary["target_reached"] == pytest.approx(2 / 3)
    assert "fools for 2 of 3 (2 by pgd)" in " ".join(result.stderr.split())


def test_the_command_takes_a_class_name_of_a_tagged_model(run_cli, colours, tmp_path):
    names, model = tmp_path / "names.txt", tmp_path / "m.onnx"
    names.write_text("red, crimson\ngreen\nblue\n")
    run_cli("model", "tag", MODEL, "-o", model, "--preset", "unit", "--class-names", names)
    save(tmp_path / "imgs/red/a.png", picture(0, 7))
    out = tmp_path / "adv"
    result = run_cli("attack", tmp_path / "imgs", "-m", model, "-a", "bim:target=Green", "-o", out)
    assert result.exit_code == 0, result.stderr
    assert entries_of(out)["red/a"]["target"] == 1
    assert read(out / "red/a.png").mean((0, 1)).argmax() == 1
    result = run_cli("attack", colours, "-m", model, "-a", "bim:target=grene", "-o", out)
    assert (result.exit_code, result.stderr) == (
        2,
        "rsparse: error: bim: target: no single class is named 'grene'; did you mean green? Known: "
        "least-likely, random, a class index\n",
    )


def test_a_class_index_that_the_model_lacks_is_refused_before_any_image_is_read(
    run_cli, tmp_path, assert_error
):
    (tmp_path / "imgs").mkdir()
    command = ("attack", tmp_path / "imgs", "-m", MODEL, "--preset", "unit", "-o", tmp_path / "adv")
    message = "bim: target: expected least-likely, random or a class from 0 to 2, got '99'"
    assert_error(message, *command, "-a", "bim:target=99")
    assert not (tmp_path / "adv").exists()
