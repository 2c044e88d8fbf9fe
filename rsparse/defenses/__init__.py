"""Define defenses as frozen parameter dataclasses, each of which cleans an image.

``DEFENSES`` maps the names used in specs to the defenses: RegionSparse, the paper's baselines, and
other common filters. ``+`` joins several into a chain. A policy such as ``policy:default`` chooses
a defense for each image. Importing this package imports nothing heavy, and nothing of
policies; each ``clean`` imports what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsparse.defenses.chain import Chain
from rsparse.defenses.comdefend import ComDefend
from rsparse.defenses.defense import Defense, Resources
from rsparse.defenses.plain import NoDefense
from rsparse.defenses.regionsparse import RegionSparse
from rsparse.defenses.registry import DEFENSES, POLICY, parse_chain, parse_registered

__all__ = [
    "DEFENSES",
    "Chain",
    "ComDefend",
    "Defense",
    "NoDefense",
    "RegionSparse",
    "Resources",
    "defense_text",
    "parse_defense",
    "parse_defenses",
]


def parse_defense(text: str, folder: Path = Path()) -> list[Defense]:
    """Return the defenses that a spec string describes (see ``rsparse.options.specs.parse_spec``).

    ``bilateral+jpeg:quality=40`` is a chain. If its parts contain lists of values, each combination
    gives one chain. ``policy:default`` and ``policy:mine.toml`` are policies.

    Parameters
    ----------
    text : str
    folder : Path
        The folder to which a policy's relative path refers.

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
        if name == POLICY:
            from rsparse.defenses.policy import parse_policies

            return parse_policies(rest, folder)
        return parse_registered(word, [POLICY])

    return parse_chain(text, parse_part)


def parse_defenses(
    texts: Sequence[str], policies: Sequence[str] = (), folder: Path = Path()
) -> tuple[Defense, ...]:
    """Return the named policies, followed by the defenses that specs describe, in their order.

    Relative paths of policy files refer to ``folder``.

    Raises
    ------
    InputError
        As for ``parse_defense``.
    """
    from rsparse.defenses.policy import parse_policies

    named = [policy for text in policies for policy in parse_policies(text, folder)]
    return (*named, *(defense for text in texts for defense in parse_defense(text, folder)))


def defense_text(defense: Defense) -> str:
    """Return a defense's canonical short name, used for its folder: ``jpeg-quality=75``."""
    return defense.text
