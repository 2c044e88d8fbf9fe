"""Differences between the judged defense and others, paired over the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from rsparse.core.metrics import Estimate
from rsparse.evaluation.estimates import mean_share, paired_difference, per_image, points
from rsparse.evaluation.results import Column, JudgedDefense
from rsparse.report.subjects import Subjects


class Effect(Enum):
    """What a difference shows."""

    GAIN = "gain"
    HARM = "harm"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Compared:
    """A defense and another one under the same attacks.

    Attributes
    ----------
    share, other : Estimate
        The mean accuracy of each.
    gap : Estimate
        Their difference with its 95 % interval, which is NaN for a single image.
    choices : int
        The number of defenses that the better one was chosen from; the interval is widened for it.
    """

    share: Estimate
    other: Estimate
    gap: Estimate
    choices: int = 1

    @property
    def effect(self) -> Effect:
        """Gain or harm if the interval lies on one side of 0."""
        return effect_of(self.gap)

    @property
    def text(self) -> str:
        """The difference in points with its interval: ``+50.0 points (+33.8 to +66.2)``."""
        if self.gap.numbers == (0, 0, 0):
            return "no difference"
        if np.isnan(self.gap.low):
            return f"{points(self.gap.value)} points"
        return (
            f"{points(self.gap.value)} points ({points(self.gap.low)} to {points(self.gap.high)})"
        )


def effect_of(gap: Estimate) -> Effect:
    """What a difference with its interval shows."""
    if gap.low > 0:
        return Effect.GAIN
    return Effect.HARM if gap.high < 0 else Effect.UNDECIDED


def compare(
    subjects: Subjects, defense: JudgedDefense, other: JudgedDefense, columns: Sequence[Column]
) -> Compared | None:
    """Two defenses on the same columns; None if one of them was not tried there."""
    evaluation = subjects.evaluation
    means = [per_image(evaluation, each, columns) for each in (defense, other)]
    if np.isnan(means).any():
        return None
    shares = [mean_share(evaluation, each, columns) for each in (defense, other)]
    return Compared(shares[0], shares[1], paired_difference(means[0], means[1]))


def with_best_baseline(subjects: Subjects, scenario: str) -> tuple[JudgedDefense, Compared] | None:
    """The judged defense and the best baseline of a scenario; None if there is none of either.

    The interval is widened, since the better of the two was chosen after the fact: the best
    baseline is one of all, and the judged defense is one of its kind unless it is the first
    setting in the plan.
    """
    judged, best = subjects.judged, subjects.best_baseline(scenario)
    if judged is None or best is None:
        return None
    evaluation, columns = subjects.evaluation, subjects.columns(scenario)
    ours, other = (per_image(evaluation, defense, columns) for defense in (judged, best))
    choices = _choices(subjects, scenario, float((ours - other).mean()))
    shares = [mean_share(evaluation, each, columns) for each in (judged, best)]
    gap = paired_difference(ours, other, choices)
    return best, Compared(shares[0], shares[1], gap, choices)


def _choices(subjects: Subjects, scenario: str, difference: float) -> int:
    if difference < 0:
        return len(subjects.baselines(scenario))
    chosen = subjects.judged in subjects.ablations[1:]
    return len(subjects.ablations) if chosen else 1
