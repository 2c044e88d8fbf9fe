"""Spec strings: their meaning, their canonical form, and the error messages for mistakes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from rsparse.attacks import ATTACKS, Bim, CwL2, Fgsm, MiFgsm, attack_text, parse_attack
from rsparse.options.fields import Parameters, parameter
from rsparse.options.specs import nearest, parse_spec, spec_text
from tests.refusals import KNOWN_ATTACKS, refused


@dataclass(frozen=True)
class Blur(Parameters):
    """A made-up defense with a field of every type."""

    strengths: ClassVar[tuple[str, ...]] = ("sigma",)

    kind: str = parameter(choices=("box", "round"))
    sigma: float = parameter(1.5, above=0, maximum=9)
    rounds: int | None = parameter(None, minimum=1)
    wrap_around: bool = parameter(False)


BLURS = {"blur": Blur}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fgsm", [Fgsm()]),
        ("fgsm:", [Fgsm()]),
        ("bim:eps=8", [Bim(eps=8)]),
        ("fgsm:eps=2,10,22", [Fgsm(eps=2), Fgsm(eps=10), Fgsm(eps=22)]),
        ("bim:eps=2,4,steps=20", [Bim(eps=2, steps=20), Bim(eps=4, steps=20)]),
        (
            "bim:steps=5,10,eps=2,4",
            [Bim(eps=e, steps=s) for s in (5, 10) for e in (2, 4)],
        ),
        ("bim: eps = 2.5 , step-size = 1e-1", [Bim(eps=2.5, step_size=0.1)]),
        ("bim:step_size=none", [Bim()]),
        ("mi-fgsm", [MiFgsm(d=0.05)]),
        ("mi-fgsm:eps=8", [MiFgsm(eps=8)]),
        ("mi-fgsm:d=0.01,0.1", [MiFgsm(d=0.01), MiFgsm(d=0.1)]),
        ("cw-l2:d=0.05", [CwL2(d=0.05)]),
    ],
)
def test_attacks(text: str, expected: list[Parameters]) -> None:
    assert parse_attack(text) == expected


def test_every_type_of_value() -> None:
    found = parse_spec("blur:kind=round,rounds=3,wrap-around=yes", BLURS, kind="defense")
    assert found == [Blur(kind="round", rounds=3, wrap_around=True)]
    assert parse_spec("blur:kind=box,wrap_around=off", BLURS) == [Blur(kind="box")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bmi", f"unknown attack 'bmi'; did you mean bim? {KNOWN_ATTACKS}"),
        ("", f"unknown attack ''; k{KNOWN_ATTACKS[1:]}"),
        ("xyz:eps=3", f"unknown attack 'xyz'; k{KNOWN_ATTACKS[1:]}"),
        (
            "bim:esp=8",
            "attack 'bim:esp=8': unknown parameter 'esp'; did you mean eps? "
            "Known: eps, steps, step_size, target",
        ),
        ("bim:8", "attack 'bim:8': expected parameter=value, got '8'"),
        (
            "bim:eps=2,eps=4",
            "attack 'bim:eps=2,eps=4': eps is given twice; write eps=…,… for a list",
        ),
        ("bim:eps=2,2.0", "attack 'bim:eps=2,2.0': gives the same attack twice"),
        (
            "bim:eps=300",
            "attack 'bim:eps=300': eps: expected a number from 0 to 255, got 300.0",
        ),
        (
            "fgsm:eps=2,-1",
            "attack 'fgsm:eps=2,-1': eps: expected a number from 0 to 255, got -1.0",
        ),
        (
            "bim:eps=8/256",
            "attack 'bim:eps=8/256': eps: expected a number from 0 to 255, got '8/256'",
        ),
        ("bim:eps=nan", "attack 'bim:eps=nan': eps: expected a number from 0 to 255, got nan"),
        ("bim:eps=", "attack 'bim:eps=': eps: expected a number from 0 to 255, got ''"),
        (
            "bim:steps=1.5",
            "attack 'bim:steps=1.5': steps: expected a whole number from 1 to 1000000, got '1.5'",
        ),
        (
            "mi-fgsm:eps=8,d=0.1",
            "attack 'mi-fgsm:eps=8,d=0.1': eps and d cannot be used together: "
            "eps limits the L∞ norm, d is the average change in L2",
        ),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with refused(message):
        parse_attack(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blurr", "unknown defense 'blurr'; did you mean blur? Known: blur"),
        ("blur", "defense 'blur': needs kind=…, one of box, round"),
        (
            "blur:kind=oval",
            "defense 'blur:kind=oval': kind: expected one of box, round, got 'oval'",
        ),
        (
            "blur:kind=box,wrap-around=perhaps",
            "defense 'blur:kind=box,wrap-around=perhaps': "
            "wrap_around: expected true or false, got 'perhaps'",
        ),
    ],
)
def test_mistakes_in_a_defense(text: str, message: str) -> None:
    with refused(message):
        parse_spec(text, BLURS, kind="defense")


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (Fgsm(), "fgsm-eps=8"),
        (Fgsm(eps=2.5), "fgsm-eps=2.5"),
        (Bim(eps=8, steps=20), "bim-eps=8-steps=20"),
        (MiFgsm(), "mi-fgsm-d=0.05"),
        (MiFgsm(eps=8, momentum=0.5), "mi-fgsm-eps=8-momentum=0.5"),
        (CwL2(), "cw-l2"),
        (CwL2(d=0.01, confidence=5), "cw-l2-d=0.01-confidence=5"),
    ],
    ids=repr,
)
def test_short_names(attack: Bim, expected: str) -> None:
    assert attack_text(attack) == expected


def test_short_names_of_other_types() -> None:
    blur = Blur(kind="box", rounds=2, wrap_around=True)
    assert spec_text("blur", blur) == "blur-kind=box-sigma=1.5-rounds=2-wrap_around=true"


@pytest.mark.parametrize("name", ATTACKS)
def test_a_name_gives_the_defaults(name: str) -> None:
    assert parse_attack(name) == [ATTACKS[name]()]


def test_nearest() -> None:
    assert nearest("linfpgd", ["L2PGD", "LinfPGD"]) == "LinfPGD"
    assert nearest("wholly-other", ["bim", "fgsm"]) is None
    assert nearest("x", []) is None
