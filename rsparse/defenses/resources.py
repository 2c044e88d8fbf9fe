"""What defenses need besides an image, read from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rsparse.defenses.defense import Defense, Resources
from rsparse.store.dictionaries import load_dictionaries
from rsparse.store.records import Source


def load_resources(
    defenses: Sequence[Defense], paths: Mapping[str, Path], seed: int
) -> tuple[Resources, dict[str, Source]]:
    """What some defenses need, and the sources of it by name.

    Raises
    ------
    InputError
        If a dictionary cannot be used, or one that is asked for is not among ``paths``.
    """
    names = dict.fromkeys(name for defense in defenses for name in defense.dictionaries)
    asked_for = {name: paths[name] for name in names if name in paths}
    dictionaries, sources = load_dictionaries(asked_for)
    resources = Resources(dictionaries, seed)
    for defense in defenses:
        defense.check(resources)
    return resources, sources
