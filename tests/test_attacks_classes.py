"""Every attack: those of the paper, and foolbox's by class name."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rsparse.attacks import ATTACKS, Attack, CwL2, MiFgsm, attack_text, parse_attack
from rsparse.core.metrics import linf_distance
from tests.refusals import KNOWN_ATTACKS, refused

torch = pytest.importorskip("torch")

from rsparse.attacks import run_attack  # noqa: E402
from rsparse.attacks.foolbox_classes import foolbox_attack, usable_names  # noqa: E402
from rsparse.attacks.names import find_name  # noqa: E402
from tests.toy_networks import (  # noqa: E402
    classify,
    foolbox_result,
    smooth_problem,
)

pytestmark = pytest.mark.usefixtures("one_torch_core")


SLOW = {  # to compile or to run; the tests below cover each one's family
    "L0BrendelBethgeAttack", "L1BrendelBethgeAttack", "L2BrendelBethgeAttack",
    "LinfinityBrendelBethgeAttack", "PointwiseAttack", "HopSkipJumpAttack",
}  # fmt: skip
FEW = {"steps": 4, "directions": 5, "repeats": 3, "binary_search_steps": 2}


def some_of_each() -> list[Attack]:
    """Our attacks, and foolbox's with few steps, without aliases."""
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
    assert found.failed.shape == (len(x),)
    assert found.failed.dtype == np.bool_
    np.testing.assert_array_equal(found.x_adv[found.failed], x[found.failed])
    assert not (attack.seeks_minimum and (classify(net, found.x_adv) != y)[found.failed].any())
    eps, d = getattr(attack, "eps", None), getattr(attack, "d", None)
    if eps is not None:
        assert (255 * linf_distance(x, found.x_adv) <= eps * (1 + 1e-4)).all()
    if d is not None:
        p = 1 if attack.norm == "l1" else 2
        change = np.linalg.norm((found.x_adv - x).reshape(len(x), -1), ord=p, axis=1)
        assert (change <= d * np.linalg.norm(x.reshape(len(x), -1), ord=p, axis=1) * 1.0001).all()


@pytest.mark.parametrize("name", [n for n in usable_names() if find_name(n, ATTACKS) is None])
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
            f"unknown attack 'LinfPDG'; did you mean LinfPGD? {KNOWN_ATTACKS}",
        ),
        (
            "LinfPGD:step=3",
            "attack 'LinfPGD:step=3': unknown parameter 'step'; did you mean steps? "
            "Known: eps, rel_stepsize, abs_stepsize, steps, random_start, target",
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
    """As the error message above says, their results equal those of plain gradient descent."""
    from foolbox.attacks import L2AdamBasicIterativeAttack, L2BasicIterativeAttack

    net, x, y = smooth_problem()
    adam, _ = foolbox_result(net, x, y, L2AdamBasicIterativeAttack(), 0.5)
    plain, _ = foolbox_result(net, x, y, L2BasicIterativeAttack(), 0.5)
    np.testing.assert_array_equal(adam, plain)
