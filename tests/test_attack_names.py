"""Attacks by the names that people know, in upper or lower case."""

from __future__ import annotations

import pytest

pytest.importorskip("foolbox")

from rsparse.attacks import ATTACKS, parse_attack
from rsparse.attacks.foolbox_classes import foolbox_attack, usable_names
from rsparse.attacks.names import ALIASES, SETS, find_name
from tests.refusals import KNOWN_ATTACKS, refused

NEEDS = {"VirtualAdversarialAttack": ":steps=3"}


@pytest.mark.parametrize("name", ATTACKS)
def test_own_attacks_in_any_case(name):
    words = (name, name.upper(), name.title(), name.replace("-", "_"), name.replace("-", ""))
    for word in words:
        assert parse_attack(word) == [ATTACKS[name]()]


@pytest.mark.parametrize("name", usable_names())
def test_classes_of_foolbox_in_any_case(name):
    own = {"PGD": "pgd", "FGSM": "fgsm", "MIFGSM": "mi-fgsm"}.get(name)
    for word in (name, name.lower(), name.upper()):
        (attack,) = parse_attack(word + NEEDS.get(name, ""))
        if own is None:
            assert type(attack) is foolbox_attack(name)
        else:
            assert attack.name == own


@pytest.mark.parametrize(("alias", "meant"), ALIASES.items())
def test_other_usual_names(alias, meant):
    known = ATTACKS.get(meant) or foolbox_attack(meant)
    for word in (alias, alias.upper(), alias.replace("-", "")):
        assert type(parse_attack(word)[0]) is known


def test_classes_may_be_without_attack_at_their_end():
    assert parse_attack("l2deepfool")[0].name == "L2DeepFoolAttack"
    assert parse_attack("saltandpeppernoise")[0].name == "SaltAndPepperNoiseAttack"


def test_values_are_read_as_with_the_usual_name():
    assert parse_attack("CW:d=0.1,0.2") == parse_attack("cw-l2:d=0.1,0.2")
    assert parse_attack("PGD:eps=2,8/255,steps=3") == parse_attack("pgd:eps=2,8,steps=3")
    assert parse_attack("Boundary:steps=7")[0].steps == 7


def test_the_parts_of_autoattack_are_attacks_of_their_own():
    parts = parse_attack("AutoAttack-Parts:eps=4,8")
    assert [a.name for a in parts] == ["apgd", "apgd", "apgd", "apgd", "square", "square"]
    assert [a.eps for a in parts] == [4, 8] * 3
    assert {a.loss for a in parts[:4]} == {"ce", "margin"}
    assert {a.queries for a in parts[4:]} == {5000}
    assert len(set(parts)) == 6
    assert parse_attack("auto_attack_parts") == parse_attack("autoattack-parts:eps=8")
    assert set(SETS) == {"autoattack-parts"}


@pytest.mark.parametrize(
    ("word", "guess"),
    [
        ("fsgm", "fgsm"),
        ("deepfol", "deepfool"),
        ("autoattak", "autoattack"),
        ("boundry", "boundary"),
        ("hopskipjumb", "hop-skip-jump"),
        ("pgdd", "pgd"),
        ("Linf-PDG", "LinfPGD"),
    ],
)
def test_near_misses_lead_to_the_attack_that_is_meant(word, guess):
    with refused(f"unknown attack {word!r}; did you mean {guess}? {KNOWN_ATTACKS}"):
        parse_attack(word)


def test_own_names_come_first():
    assert find_name("pgd", ["pgd"], ["PGD"]) == "pgd"
    assert find_name("pgd", [], ["PGD"]) == "PGD"
    assert find_name("nothing", ["pgd"], ["PGD"]) is None
