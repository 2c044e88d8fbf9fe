"""Find attacks by the names that people know, in upper or lower case.

Own names come first, then other usual names, then the classes of foolbox with or without ``Attack``
at the end. Hyphens and underscores do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

ALIASES = {
    "cw": "cw-l2",
    "c&w": "cw-l2",
    "carlini-wagner": "cw-l2",
    "carlini-wagner-l2": "cw-l2",
    "i-fgsm": "bim",
    "mim": "mi-fgsm",
    "auto-pgd": "apgd",
    "square-attack": "square",
    "boundary": "BoundaryAttack",
    "hop-skip-jump": "HopSkipJumpAttack",
    "hsja": "HopSkipJumpAttack",
    "ead": "EADAttack",
    "fmn": "LInfFMNAttack",
    "bb": "LinfinityBrendelBethgeAttack",
    "newton-fool": "NewtonFoolAttack",
}
"""Other usual names of attacks."""

SETS = {
    "autoattack-parts": ("apgd:loss=ce", "apgd:loss=margin", "square:queries=5000"),
}
"""Names of several attacks together.

AutoAttack (Croce, Hein 2020) is APGD with cross-entropy, APGD and FAB towards each other class, and
Square with 5,000 queries; ``autoattack`` runs it through its authors' package. Of the parts that we
have, on images of 8 bits, APGD with the margin to the nearest other class stands for the second;
FAB is left out.
"""


def key_of(name: str) -> str:
    """Reduce a name to what tells it from others: lower-case letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find_name(name: str, known: Iterable[str], others: Iterable[str] = ()) -> str | None:
    """Return the attack that a name means, or None.

    Parameters
    ----------
    name : str
        In any case.
    known : iterable of str
        The own attacks.
    others : iterable of str
        Classes of foolbox.
    """
    wanted = key_of(name)
    tables: tuple[Mapping[str, str], ...] = (
        {key_of(own): own for own in known},
        {key_of(alias): meant for alias, meant in ALIASES.items()},
        {key_of(other): other for other in others},
        {key_of(other).removesuffix("attack"): other for other in others},
    )
    return next((table[wanted] for table in tables if wanted in table), None)
