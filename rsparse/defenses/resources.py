"""Load the resources that defenses need in addition to an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rsparse.defenses.defense import Defense, Resources
from rsparse.store.dictionaries import load_dictionaries
from rsparse.store.records import Source


def load_resources(
    defenses: Sequence[Defense], paths: Mapping[str, Path], seed: int
) -> tuple[Resources, dict[str, Source]]:
    """Load what the given defenses need; also return the sources by name.

    Raises
    ------
    InputError
        If a dictionary cannot be used, or a required one is not in ``paths``.
    """
    names = dict.fromkeys(name for defense in defenses for name in defense.dictionaries)
    asked_for = {name: paths[name] for name in names if name in paths}
    dictionaries, sources = load_dictionaries(asked_for)
    resources = Resources(dictionaries, seed)
    for defense in defenses:
        defense.check(resources)
    return resources, sources
