"""The defenses by name, and how one, or a chain of them, is spelled."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from rsparse.defenses.chain import Chain
from rsparse.defenses.comdefend import ComDefend
from rsparse.defenses.compression import BitDepth, Jpeg, LocalQuantization
from rsparse.defenses.defense import Defense
from rsparse.defenses.plain import NoDefense
from rsparse.defenses.regionsparse import RegionSparse
from rsparse.defenses.smoothing import Bilateral, FeatureSqueezing, Gaussian, Median, NonLocalMeans
from rsparse.defenses.variation import MaskedTotalVariation, TotalVariation
from rsparse.options.specs import parse_spec

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
"""Those with parameters of their own; a policy is made of them."""


def parse_registered(text: str, others: Sequence[str] = ()) -> list[Defense]:
    """The defenses that one part of a spec asks for; a policy is none of them.

    ``others`` are more names that may have been meant, for the message.
    """
    return parse_spec(text, DEFENSES, kind="defense", other_names=lambda: others)


def parse_chain(text: str, parse_part: Callable[[str], list[Defense]]) -> list[Defense]:
    """The defenses that a spec asks for whose parts, joined by ``+``, ``parse_part`` reads.

    Lists of values in the parts give one chain for each combination.
    """
    words = re.split(r"\+(?![0-9])", text)  # but not in 1e+5
    parts = [parse_part(word) for word in words]
    if len(parts) == 1:
        return parts[0]
    return [Chain(chosen) for chosen in itertools.product(*parts)]
