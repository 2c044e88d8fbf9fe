"""Parameters of a record in the words of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsparse.defenses.recorded import defense_of
from rsparse.errors import InputError


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested parameters to one level (``localization.theta``), sorted by name."""
    flattened: dict[str, Any] = {}
    for key in sorted(values):
        value = values[key]
        if isinstance(value, Mapping) and "rules" not in value:
            flattened |= flat(value, f"{prefix}{key}.")
        else:
            flattened[prefix + key] = value
    return flattened


def _policy(record: Mapping[str, Any]) -> str:
    """The name and the rules of a policy, as text."""
    try:
        return f"policy {record['policy']}: {'; '.join(defense_of(record).details)}"
    except InputError:
        return f"policy {record.get('policy')}"


def plain(value: Any) -> str:
    """Format a parameter's value for people: no brackets, yes and no, a dash for none."""
    if isinstance(value, Mapping):
        if "rules" in value:
            return _policy(value)
        rest = [f"{key}={plain(value[key])}" for key in sorted(value) if key != "name"]
        return " ".join([*([str(value["name"])] if "name" in value else []), *rest])
    if isinstance(value, list | tuple):
        return ("; " if any(isinstance(v, Mapping) for v in value) else ", ").join(
            map(plain, value)
        )
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
