"""Defenses as frozen parameter dataclasses, each of which cleans an image.

``DEFENSES`` holds them by the names that a spec calls them: RegionSparse, the baselines of the
paper, and the filters that others use. A ``+`` puts several into a chain; ``policy:default`` takes
another one for each image. Importing this package imports nothing heavy; each ``clean`` imports
what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsparse.defenses.by_noise import ByNoise, Rule
from rsparse.defenses.chain import Chain
from rsparse.defenses.comdefend import ComDefend
from rsparse.defenses.defense import Defense, Resources
from rsparse.defenses.plain import NoDefense
from rsparse.defenses.policy import default_policy, parse_policies
from rsparse.defenses.recorded import defense_of
from rsparse.defenses.regionsparse import RegionSparse
from rsparse.defenses.registry import DEFENSES, parse_chain, parse_registered

__all__ = [
    "DEFENSES",
    "ByNoise",
    "Chain",
    "ComDefend",
    "Defense",
    "NoDefense",
    "RegionSparse",
    "Resources",
    "Rule",
    "default_policy",
    "defense_of",
    "defense_text",
    "parse_defense",
    "parse_defenses",
]


def parse_defense(text: str, folder: Path = Path()) -> list[Defense]:
    """The defenses that a spec string asks for (see ``rsparse.options.specs.parse_spec``).

    ``bilateral+jpeg:quality=40`` is a chain. Lists of values in its parts give one chain for each
    combination. ``policy:default`` and ``policy:mine.toml`` are policies.

    Parameters
    ----------
    text : str
    folder : Path
        Where a policy's relative path begins.

    Raises
    ------
    InputError
        If a name, parameter or value is unknown.

    Examples
    --------
    >>> [defense_text(defense) for defense in parse_defense("bilateral+jpeg:quality=40,75")]
    ['bilateral-sigma_color=80+jpeg-quality=40', 'bilateral-sigma_color=80+jpeg-quality=75']
    """

    def parse_part(word: str) -> list[Defense]:
        name, _, rest = word.partition(":")
        if name == ByNoise.name:
            return parse_policies(rest, folder)
        return parse_registered(word, [ByNoise.name])

    return parse_chain(text, parse_part)


def parse_defenses(
    texts: Sequence[str], policies: Sequence[str] = (), folder: Path = Path()
) -> tuple[Defense, ...]:
    """The policies that are named, then the defenses that specs ask for, in their order.

    Relative paths of policies' files begin in ``folder``.

    Raises
    ------
    InputError
        As for ``parse_defense``.
    """
    named = [policy for text in policies for policy in parse_policies(text, folder)]
    return (*named, *(defense for text in texts for defense in parse_defense(text, folder)))


def defense_text(defense: Defense) -> str:
    """The defense's canonical short name, usable as the name of a folder: ``jpeg-quality=75``."""
    return defense.text
