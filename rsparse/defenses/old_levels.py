"""The levels that dictionaries of version 1 held, as policies.

They said by the noise in an image how it was purified. A policy says so now, so that purifying
ignores them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rsparse.defenses.by_noise import ByNoise, Rule
from rsparse.defenses.defense import Defense
from rsparse.defenses.plain import NoDefense
from rsparse.defenses.policy import DEFAULT_POLICY, Policy, same_rules
from rsparse.defenses.regionsparse import RegionSparse
from rsparse.errors import InputError
from rsparse.store.dictionaries import load_old_levels


def policy_of_dictionary(path: Path) -> Policy:
    """The policy with the rules of a dictionary's levels.

    Raises
    ------
    InputError
        If it is no dictionary, holds no levels, or they make no sense.
    """
    rules = _rules(path, "")
    if rules is None:
        raise InputError(
            f"{path}: holds no levels, as every dictionary of this version; see 'rsparse policy "
            "list'"
        )
    try:
        return Policy(ByNoise("levels", rules), f"The levels of {path.name}.")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def ignored_levels(dictionaries: Mapping[str, Path], defenses: Iterable[Defense]) -> list[str]:
    """What to tell of dictionaries whose levels are no longer gone by.

    Nothing is said where the default policy, or a chosen one, has the same rules.

    Parameters
    ----------
    dictionaries : mapping of str to Path
        Those that the defenses use, by name.
    defenses : iterable of Defense

    Returns
    -------
    list of str
        One sentence for each such dictionary: which policy to take instead.
    """
    chosen = [defense.as_record().get("rules") for defense in defenses]
    sentences = []
    for name, path in dictionaries.items():
        rules = _rules(path, name)
        if rules is None or [rule.as_record() for rule in rules] in chosen:
            continue
        known = same_rules(rules)
        if known != DEFAULT_POLICY:
            instead = (
                f"--policy {known} has the same rules"
                if known
                else f"'rsparse policy show {path} --toml > mine.toml' makes a policy of them"
            )
            sentences.append(f"{path}: its levels are ignored; {instead}")
    return sentences


def _rules(path: Path, dictionary: str) -> tuple[Rule, ...] | None:
    """The levels of a file as rules; without any, the paper's form was the only one."""
    levels = load_old_levels(path)
    if levels is None:
        return None
    rules = tuple(_rule(level, dictionary) for level in levels)
    return rules or (Rule(RegionSparse(dictionary=dictionary)),)


def _rule(level: Mapping[str, Any], dictionary: str) -> Rule:
    defense: Defense = NoDefense()
    if level["sparsity"]:
        defense = RegionSparse(
            sparsity=level["sparsity"],
            min_correlation=level.get("weakest", 0.0),
            stride=level.get("stride", RegionSparse.stride),
            localize=level["localize"],
            prefilter=level["prefilter"],
            dictionary=dictionary,
        )
    return Rule(defense, level["noise_below"], level.get("period_below", math.inf))
