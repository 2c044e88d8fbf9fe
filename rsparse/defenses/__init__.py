"""Defenses as frozen parameter dataclasses, each of which cleans an image.

``DEFENSES`` holds them by the names that a spec calls them: RegionSparse, the baselines of the
paper, and the filters that others use. A ``+`` puts several into a chain. Importing this package
imports nothing heavy; each ``clean`` imports what it needs.
"""

from __future__ import annotations

import itertools
import re

from rsparse.defenses.chain import Chain, parts_of
from rsparse.defenses.comdefend import ComDefend
from rsparse.defenses.compression import BitDepth, Jpeg, LocalQuantization
from rsparse.defenses.defense import Defense, Resources
from rsparse.defenses.plain import NoDefense
from rsparse.defenses.regionsparse import RegionSparse
from rsparse.defenses.smoothing import Bilateral, FeatureSqueezing, Gaussian, Median, NonLocalMeans
from rsparse.defenses.variation import MaskedTotalVariation, TotalVariation
from rsparse.options.specs import parse_spec, spec_text

DEFENSES: dict[str, type[Defense]] = {
    defense.name: defense
    for defense in (
        RegionSparse,
        Jpeg,
        LocalQuantization,
        BitDepth,
        Median,
        FeatureSqueezing,
        MaskedTotalVariation,
        TotalVariation,
        NonLocalMeans,
        Bilateral,
        Gaussian,
        ComDefend,
        NoDefense,
    )
}

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
    "parts_of",
]


def parse_defense(text: str) -> list[Defense]:
    """The defenses that a spec string asks for (see ``rsparse.options.specs.parse_spec``).

    ``bilateral+jpeg:quality=40`` is a chain. Lists of values in its parts give one chain for each
    combination.

    Raises
    ------
    InputError
        If a name, parameter or value is unknown.

    Examples
    --------
    >>> [defense_text(defense) for defense in parse_defense("bilateral+jpeg:quality=40,75")]
    ['bilateral-sigma_color=80+jpeg-quality=40', 'bilateral-sigma_color=80+jpeg-quality=75']
    """
    words = re.split(r"\+(?![0-9])", text)  # but not in 1e+5
    parts = [parse_spec(word, DEFENSES, kind="defense") for word in words]
    if len(parts) == 1:
        return parts[0]
    return [Chain(chosen) for chosen in itertools.product(*parts)]


def defense_text(defense: Defense) -> str:
    """The defense's canonical short name, usable as the name of a folder: ``jpeg-quality=75``."""
    return "+".join(spec_text(part.name, part) for part in parts_of(defense))
