"""What a detector before the defenses leaves: images right, images that fool, images rejected.

A rejected image is neither right nor does it fool. The detector sees an image before any defense,
so the same images are rejected behind all of them, except under attacks through a defense.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from rsparse.core.metrics import Estimate, share_of
from rsparse.core.paired import Flags
from rsparse.evaluation.results import CLEAN, Column, Evaluation, JudgedDefense


class Shares(NamedTuple):
    """Shares of the same images that add up to 1.

    Attributes
    ----------
    right, wrong : Estimate
        Accepted by the detector, and classified right or wrong. An attack fools with the latter.
    rejected : Estimate
        Rejected by the detector; of clean images, the false alarms.
    """

    right: Estimate
    wrong: Estimate
    rejected: Estimate


def shares(evaluation: Evaluation, column: Column, defense: JudgedDefense) -> Shares | None:
    """The shares of a column's attack behind a defense; None if it was not tried or examined."""
    rejected = evaluation.column_against(column, defense).rejected
    if rejected is None or evaluation.trial_against(column, defense) is None:
        return None
    correct = evaluation.correct(column, defense)
    return Shares(*map(_share, (correct & ~rejected, ~correct & ~rejected, rejected)))


def _share(flags: Flags) -> Estimate:
    return share_of(int(np.count_nonzero(flags)), len(flags))


def examined(
    evaluation: Evaluation, columns: Sequence[Column], defenses: Sequence[JudgedDefense]
) -> Iterator[tuple[Column, JudgedDefense, Shares]]:
    """The shares of all columns behind all defenses, where there are any; clean images first."""
    for column in sorted(columns, key=lambda column: column.family != CLEAN):
        for defense in defenses:
            found = shares(evaluation, column, defense)
            if found is not None:
                yield column, defense, found
