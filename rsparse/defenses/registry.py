"""List the defenses by name, and parse specs of a defense or a chain."""

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

POLICY = "policy"
"""The name of ``by_noise.ByNoise`` in a spec."""

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
"""All defenses with parameters of their own, which policies and chains combine."""


def parse_registered(text: str, others: Sequence[str] = ()) -> list[Defense]:
    """Return the defenses that one part of a spec describes, other than policies.

    ``others`` are further valid names for the message about an unknown one.
    """
    return parse_spec(text, DEFENSES, kind="defense", other_names=lambda: others)


def parse_chain(text: str, parse_part: Callable[[str], list[Defense]]) -> list[Defense]:
    """Return the defenses that a spec describes; ``parse_part`` parses each part between ``+``.

    If the parts contain lists of values, each combination gives one chain.
    """
    words = re.split(r"\+(?![0-9])", text)  # but not in 1e+5
    parts = [parse_part(word) for word in words]
    if len(parts) == 1:
        return parts[0]
    return [Chain(chosen) for chosen in itertools.product(*parts)]
