"""Read policies, which choose a defense for each image by the noise in it.

A policy is a small TOML file. Its last rule has no bounds::

    about = "Its purpose in one sentence."

    [[rule]]
    noise-below = 0.5
    period-below = 4
    defense = "none"

    [[rule]]
    defense = "regionsparse:sparsity=2"

The built-in policies are in ``policies/``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse.defenses.by_noise import MEASURES, ByNoise, Rule
from rsparse.defenses.defense import Defense
from rsparse.defenses.registry import parse_chain, parse_registered
from rsparse.errors import InputError
from rsparse.options.specs import hint_of
from rsparse.store.files import read_toml

DEFAULT_POLICY = "default"
_FOLDER = Path(__file__).with_name("policies")
_BOUNDS = {name.replace("_", "-"): name for name in MEASURES}


@dataclass(frozen=True)
class Policy:
    """A policy and its purpose in one sentence."""

    defense: ByNoise
    about: str = ""

    @property
    def name(self) -> str:
        """Its name, which is the name of its file without ``.toml``."""
        return self.defense.policy

    def as_json(self) -> dict[str, Any]:
        """Return each rule's bounds, its defense as a spec, and a description, for scripts."""
        rules = [
            {**rule.bounds(), "defense": rule.defense.spec, "in_words": rule.defense.in_words}
            for rule in self.defense.rules
        ]
        return {"name": self.name, "about": self.about, "rules": rules}

    def as_toml(self) -> str:
        """Return the text of an equivalent TOML file."""
        lines = [f"about = {_quoted(self.about)}"] if self.about else []
        for rule in self.defense.rules:
            named = {key: rule.bounds().get(field) for key, field in _BOUNDS.items()}
            bounds = [f"{key} = {bound:.12g}" for key, bound in named.items() if bound is not None]
            lines += ["", "[[rule]]", *bounds, f"defense = {_quoted(rule.defense.spec)}"]
        return "\n".join(lines).lstrip("\n") + "\n"


def policy_names() -> list[str]:
    """Return the names of the built-in policies, the default one first."""
    names = sorted(path.stem for path in _FOLDER.glob("*.toml"))
    return sorted(names, key=lambda name: name != DEFAULT_POLICY)


def load_policy(word: str, folder: Path = Path()) -> Policy:
    """Load a built-in policy by its name, or a policy from a file that ends in ``.toml``.

    Parameters
    ----------
    word : str
        A name such as ``default``, in upper or lower case, or a path.
    folder : Path
        The folder to which a relative path refers.

    Raises
    ------
    InputError
        If there is no such policy (the message suggests the nearest name), or the file is invalid.
    """
    if word.lower().endswith(".toml"):
        return _from_file(folder / word)
    name = word.strip().lower()
    if name not in policy_names():
        raise InputError(
            f"unknown policy {word!r}; {hint_of(name, policy_names())}; or give a file, "
            "such as mine.toml"
        )
    return _read(_FOLDER / f"{name}.toml")


def default_policy() -> ByNoise:
    """Return the policy that cleans images unless another defense is chosen."""
    return load_policy(DEFAULT_POLICY).defense


def parse_policies(text: str, folder: Path = Path()) -> list[Defense]:
    """Return the policies that a name, a file or a comma-separated list of these denotes."""
    if not text:
        raise InputError(
            f"defense 'policy': expected policy:NAME or policy:FILE.toml; known are "
            f"{', '.join(policy_names())}"
        )
    return [load_policy(word, folder).defense for word in text.split(",")]


def same_rules(rules: tuple[Rule, ...]) -> str | None:
    """Return the name of the built-in policy with these rules, if there is one."""
    for name in policy_names():
        if load_policy(name).defense.rules == rules:
            return name
    return None


def _from_file(path: Path) -> Policy:
    """Read a user's policy; it may share a built-in policy's name only with the same rules."""
    policy = _read(path)
    name = policy.name.lower()
    if name in policy_names() and load_policy(name).defense.rules != policy.defense.rules:
        raise InputError(
            f"{path}: has other rules than the built-in policy {name}; rename the file"
        )
    return policy


def _read(path: Path) -> Policy:
    content = read_toml(path)
    try:
        _check_keys(content, ("about", "rule"))
        about, tables = content.get("about", ""), content.get("rule", [])
        if not isinstance(about, str):
            raise InputError(f"about: expected a text, got {about!r}")
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise InputError("rule: expected tables, each headed [[rule]]")
        rules = tuple(_rule(table, number) for number, table in enumerate(tables, 1))
        return Policy(ByNoise(path.stem, rules), about)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _rule(table: Mapping[str, Any], number: int) -> Rule:
    try:
        _check_keys(table, (*_BOUNDS, "defense"))
        bounds = {field: _bound(table[key], key) for key, field in _BOUNDS.items() if key in table}
        if not isinstance(table.get("defense"), str):
            raise InputError(
                'expected a defense, such as defense = "jpeg:quality=40"; got none'
                if "defense" not in table
                else f"defense: expected a text, got {table['defense']!r}"
            )
        defenses = parse_chain(table["defense"], _parse_part)
        if len(defenses) > 1:
            raise InputError(f"defense {table['defense']!r}: expected one, got {len(defenses)}")
        return Rule(defenses[0], **bounds)
    except InputError as error:
        raise InputError(f"rule {number}: {error}") from None


def _parse_part(word: str) -> list[Defense]:
    if word.partition(":")[0] == ByNoise.name:
        raise InputError("a policy cannot contain another policy")
    return parse_registered(word)


def _bound(value: Any, key: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= sys.float_info.max:  # TOML has integers of any size
        raise InputError(f"{key}: expected a number above 0, got {value!r}")
    return float(value)


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise InputError(f"unknown key {key!r}; {hint_of(key, known)}")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
