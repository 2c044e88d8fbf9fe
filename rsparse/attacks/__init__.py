"""Define attacks as frozen parameter dataclasses, and run them with foolbox.

``ATTACKS`` holds the paper's four attacks with its parameters, DeepFool, stronger ones for an
attacker who knows the defense (``adaptive`` is the worst of them), a search without gradients, and
noise. Any other gradient or decision attack of foolbox is known by its class name
(``LinfPGD:eps=8,steps=20``, ``L2DeepFoolAttack``). Importing this package does not import torch or
foolbox; ``run_attack`` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rsparse.attacks.adaptive import Adaptive
from rsparse.attacks.attack import Attack
from rsparse.attacks.autoattack import AutoAttack
from rsparse.attacks.carlini_wagner import CwL2
from rsparse.attacks.ddn import Ddn
from rsparse.attacks.deepfool import DeepFool
from rsparse.attacks.descents import Apgd, Pgd
from rsparse.attacks.gradient_sign import Bim, Fgsm, MiFgsm, MiFgsmL2
from rsparse.attacks.names import ALIASES, SETS, find_name, key_of
from rsparse.attacks.random_noise import Noise
from rsparse.attacks.square import Square
from rsparse.errors import InputError
from rsparse.options.specs import parse_spec, spec_text

if TYPE_CHECKING:
    from rsparse.attacks.running import AttackResult, run_attack

ATTACKS: dict[str, type[Attack]] = {
    attack.name: attack
    for attack in (
        Fgsm,
        Bim,
        MiFgsm,
        MiFgsmL2,
        Pgd,
        Apgd,
        CwL2,
        DeepFool,
        Ddn,
        Square,
        Noise,
        Adaptive,
    )
}

PUBLISHED: dict[str, type[Attack]] = {AutoAttack.name: AutoAttack}
"""Attacks that only run where the package of their authors is installed."""

__all__ = [
    "ATTACKS",
    "PUBLISHED",
    "Adaptive",
    "Apgd",
    "Attack",
    "AttackResult",
    "AutoAttack",
    "Bim",
    "CwL2",
    "Ddn",
    "DeepFool",
    "Fgsm",
    "MiFgsm",
    "MiFgsmL2",
    "Noise",
    "Pgd",
    "Square",
    "attack_text",
    "parse_attack",
    "run_attack",
]


def parse_attack(text: str) -> list[Attack]:
    """Return the attacks that a spec string describes (see ``rsparse.options.specs.parse_spec``).

    Names are found in upper or lower case; see ``rsparse.attacks.names``. A name that is not one of
    ``ATTACKS`` or their other names is looked up among foolbox's classes, which imports foolbox.

    Raises
    ------
    InputError
        If a name, parameter or value is unknown, or a class needs more than plain numbers.

    Examples
    --------
    >>> parse_attack("PGD:eps=8/255") == parse_attack("pgd:eps=8")
    True
    """
    word, colon, rest = text.partition(":")
    parts = {key_of(name): parts for name, parts in SETS.items()}.get(key_of(word))
    if parts is not None:
        return [attack for part in parts for attack in _parsed(_with(part, rest))]
    name = find_name(word, [*ATTACKS, *PUBLISHED])
    if name is None and word:
        name = find_name(word, (), _class_names(word))
    return _parsed(f"{name or word}{colon}{rest}")


def _with(spec: str, rest: str) -> str:
    return f"{spec},{rest}" if rest else spec


def _class_names(word: str) -> list[str]:
    """The classes of foolbox; without foolbox none, unless the word looks like a class."""
    from rsparse.attacks.foolbox_classes import class_names

    try:
        return class_names()
    except InputError:
        if word == word.lower():
            return []
        raise


def _parsed(text: str) -> list[Attack]:
    def find_class(name: str) -> type[Attack] | None:
        from rsparse.attacks.foolbox_classes import foolbox_attack

        return foolbox_attack(name) if name != name.lower() else None

    def other_names() -> list[str]:
        return [*ALIASES, *SETS, *_class_names("")]

    return parse_spec(
        text,
        ATTACKS | PUBLISHED,
        find_other=find_class,
        other_names=other_names,
        more=", or an attack class of foolbox",
    )


def attack_text(attack: Attack) -> str:
    """Return an attack's canonical short name, used for its folder: ``bim-eps=8``."""
    return spec_text(attack.name, attack)


def __getattr__(name: str) -> Any:
    """Import what runs attacks, and with it torch, on first use."""
    if name in ("AttackResult", "run_attack"):
        from rsparse.attacks import running

        return getattr(running, name)
    raise AttributeError(f"module 'rsparse.attacks' has no attribute {name!r}")
