"""Strengths of attacks in other units are understood or questioned, never taken for no change."""

from __future__ import annotations

import pytest

from rsparse.attacks import ATTACKS, Bim, Noise, parse_attack
from rsparse.options.train import TrainParameters
from tests.conftest import REPOSITORY
from tests.refusals import refused

MODEL = REPOSITORY / "fixtures" / "colours.onnx"
BY_EPS = [name for name, attack in ATTACKS.items() if "eps" in attack.strengths]
BY_D = [name for name, attack in ATTACKS.items() if "d" in attack.strengths]
ASKED = "0.03 grey levels changes nothing after rounding; did you mean 8/255, that is eps=8?"


@pytest.mark.parametrize("name", [*BY_EPS, "LinfPGD"])
def test_a_fraction_of_255_is_in_grey_levels(name):
    pytest.importorskip("foolbox")
    for word in ("8/255", " 8 / 255 ", "8/255.0"):
        assert parse_attack(f"{name}:eps={word}") == parse_attack(f"{name}:eps=8")
    assert [a.eps for a in parse_attack(f"{name}:eps=2/255,4,2.5/255")] == [2, 4, 2.5]


@pytest.mark.parametrize("name", [*BY_EPS, "LinfPGD", "LinfDeepFoolAttack"])
def test_a_share_of_the_range_is_questioned(name):
    pytest.importorskip("foolbox")
    with refused(f"attack '{name}:eps=0.03': eps: {ASKED}"):
        parse_attack(f"{name}:eps=0.03")
    with refused(f"attack '{name}:eps=8,0.03': eps: {ASKED}"):
        parse_attack(f"{name}:eps=8,0.03")


@pytest.mark.parametrize(
    ("eps", "question"),
    [
        (0.0001, "0.0001 grey levels changes nothing after rounding; did you mean 1/255, that is "
         "eps=1?"),
        (8 / 255, "0.0313725 grey levels changes nothing after rounding; did you mean 8/255, that "
         "is eps=8?"),
        (0.3, "0.3 grey levels changes nothing after rounding; did you mean 76/255, that is "
         "eps=76?"),
        (0.75, "0.75 grey levels is less than the step of a file; did you mean eps=1?"),
    ],
)  # fmt: skip
def test_what_it_asks(eps, question):
    with refused(f"eps: {question}"):
        Bim(eps=eps)


def test_whole_levels_and_no_change_are_taken_as_they_are():
    assert [Bim(eps=eps).eps for eps in (0, 1, 1.5, 255)] == [0, 1, 1.5, 255]
    assert parse_attack("bim:eps=4,step_size=1/255")[0].step_size == 1
    assert parse_attack("pgd:eps=4,step_size=0.5")[0].step_size == 0.5


@pytest.mark.parametrize("word", ["8/256", "8/", "/255", "x/255", "8/255/255", "1/3"])
def test_other_fractions_are_refused(word):
    with refused(f"attack 'bim:eps={word}': eps: expected a number from 0 to 255, got {word!r}"):
        parse_attack(f"bim:eps={word}")


def test_a_fraction_is_only_for_grey_levels():
    with refused("attack 'noise:d=8/255': d: expected a number from 0 to 1, got '8/255'"):
        parse_attack("noise:d=8/255")


@pytest.mark.parametrize("name", [*BY_D, "L2PGD", "L2DeepFoolAttack"])
def test_a_norm_that_vanishes_is_questioned(name):
    pytest.importorskip("foolbox")
    question = (
        "d: 0.0005 of an image's norm vanishes after rounding; expected d=0.001 or more, such as "
        "d=0.05"
    )
    with refused(f"attack '{name}:d=0.0005': {question}"):
        parse_attack(f"{name}:d=0.0005")
    assert Noise(d=0.001).d == 0.001


def test_training_asks_too():
    with refused(f"attack-eps: {ASKED.replace('eps=8', 'attack-eps=8')}"):
        TrainParameters(attack_eps=0.03)


@pytest.mark.parametrize(
    "words",
    [
        ("attack", "IMGS", "-m", MODEL, "-a", "pgd:eps=0.03"),
        ("evaluate", "IMGS", "-m", MODEL, "-a", "bim:eps=0.03", "--defense", "none"),
    ],
    ids=["attack", "evaluate"],
)
def test_commands_ask_before_they_compute(assert_error, pictures, tmp_path, words):
    spec = next(word for word in words if "eps" in str(word))
    given = [pictures if word == "IMGS" else word for word in words]
    assert_error(f"attack {spec!r}: eps: {ASKED}", *given, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_options_and_plans_understand_it(assert_error, run_cli, pictures, tmp_path):
    assert_error(
        f"attack-eps: {ASKED.replace('eps=8', 'attack-eps=8')}",
        "train", pictures, "-m", MODEL, "-o", tmp_path / "r.onnx", "--train-on", "adversarial",
        "--attack-eps", "0.03",
    )  # fmt: skip
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'images = ["{pictures}"]\nmodel = "{MODEL}"\nattack = ["bim:eps=0.03"]\n'
        'defense = ["none"]\n'
    )
    result = run_cli("evaluate", plan, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert f"eps: {ASKED}" in result.stderr.splitlines()[-1]
