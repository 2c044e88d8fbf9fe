"""Convert the levels in dictionary files of version 1 to policies.

Levels chose the way of purifying by the noise in an image. Policies do this now, so purifying
ignores levels.
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
    """Convert a dictionary's levels to a policy with the same rules.

    Raises
    ------
    InputError
        If the file is not a dictionary, or its levels are missing or unusable.
    """
    rules = _rules(path, "")
    if rules is None:
        raise InputError(
            f"{path}: expected a dictionary of version 1 with levels, got one without; "
            "see 'rsparse policy list'"
        )
    try:
        return Policy(ByNoise("levels", rules), f"The levels of {path.name}.")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def ignored_levels(dictionaries: Mapping[str, Path], defenses: Iterable[Defense]) -> list[str]:
    """Warn about dictionaries whose levels are ignored.

    There is no warning if the default policy or a chosen one has the same rules.

    Parameters
    ----------
    dictionaries : mapping of str to Path
        The dictionaries that the defenses use, by name.
    defenses : iterable of Defense

    Returns
    -------
    list of str
        One sentence for each such dictionary, which names the policy to use instead.
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
                f"use --policy {known}, which has the same rules"
                if known
                else f"'rsparse policy show {path} --toml > mine.toml' turns them into a policy"
            )
            sentences.append(f"{path}: its levels are ignored; {instead}")
    return sentences


def _rules(path: Path, dictionary: str) -> tuple[Rule, ...] | None:
    """Return the levels of a file as rules; an empty list of levels meant the paper's form."""
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
