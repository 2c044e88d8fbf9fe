"""Load the resources that defenses need in addition to an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rsparse.defenses.defense import Defense, Resources
from rsparse.store.dictionaries import load_dictionaries
from rsparse.store.records import Source


def load_resources(
    defenses: Sequence[Defense],
    paths: Mapping[str, Path],
    seed: int,
    *,
    any_dictionary: bool = False,
) -> tuple[Resources, dict[str, Source]]:
    """Load what the given defenses need; also return the sources by name.

    With ``any_dictionary`` their strengths are not checked, since they are written for
    dictionaries of any size, as policies are.

    Raises
    ------
    InputError
        If a dictionary cannot be used, a required one with a name is not in ``paths``, or a
        defense asks for more atoms than can matter, or for gaps between patches.
    """
    names = dict.fromkeys(name for defense in defenses for name in defense.dictionaries)
    dictionaries, sources = load_dictionaries(paths, names)
    resources = Resources(dictionaries, seed)
    for defense in defenses:
        defense.check(resources)
        if not any_dictionary:
            defense.check_strength(resources)
    return resources, sources
