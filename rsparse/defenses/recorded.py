"""Recreate defenses from records, without reading a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsparse.defenses.by_noise import ByNoise, Rule
from rsparse.defenses.chain import Chain
from rsparse.defenses.defense import Defense
from rsparse.defenses.registry import DEFENSES
from rsparse.errors import InputError


def defense_of(record: Mapping[str, Any]) -> Defense:
    """Recreate a defense from the result of its ``as_record``.

    Raises
    ------
    InputError
        If this version has no defense with that name or those parameters.
    """
    try:
        if "parts" in record:
            return Chain(tuple(defense_of(part) for part in record["parts"]))
        if "rules" in record:
            return ByNoise(record["policy"], tuple(map(_rule, record["rules"])))
        values = {key: value for key, value in record.items() if key != "name"}
        return DEFENSES[record["name"]](**values)
    except (KeyError, TypeError) as error:
        raise InputError(f"unknown defense {dict(record)}") from error


def _rule(record: Mapping[str, Any]) -> Rule:
    bounds = {key: float(value) for key, value in record.items() if key != "defense"}
    return Rule(defense_of(record["defense"]), **bounds)
