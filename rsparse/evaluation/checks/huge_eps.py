"""The check that an attack with a huge eps leaves no more images right than chance."""

from __future__ import annotations

import numpy as np

from rsparse.core.paired import SIGNIFICANT, images_to_exceed, tail
from rsparse.evaluation.checks.comparisons import NO_EXTRA, NOT_TRIED
from rsparse.evaluation.checks.evidence import Evidence
from rsparse.evaluation.checks.images import chance
from rsparse.evaluation.checks.outcomes import (
    FAIL,
    NOT_RUN,
    PASS,
    UNDECIDED,
    Finding,
    combined,
    enough,
    percent,
)
from rsparse.evaluation.results import Check, Column, JudgedDefense
from rsparse.evaluation.results import Evaluation as Results
from rsparse.evaluation.statistics import clean_column

HUGE_EPS = 128.0
NEAR_CHANCE = 0.02  # margin above chance: a few images may stay correct under any change


def reaches_chance(results: Results, evidence: Evidence, defense: JudgedDefense) -> Check:
    """Check that each iterative attack with a huge eps leaves accuracy at chance.

    A change of half the range turns any image into any grey one.
    """
    name = "a huge eps reaches chance"
    tried = [c for c in evidence.huge_eps if results.trial_against(c, defense) is not None]
    if not tried:
        reason = NOT_TRIED if evidence.huge_eps else NO_EXTRA
        return Check(name, evidence.scenario, defense.text, NOT_RUN, reason)
    findings = [
        _already_at_chance(results, column, defense) or _at_chance(results, column, defense)
        for column in tried
    ]
    outcome = combined(finding.outcome for finding in findings)
    worst = [finding.detail for finding in findings if finding.outcome == outcome]
    return Check(name, evidence.scenario, defense.text, outcome, "; ".join(worst[:3]))


def _already_at_chance(results: Results, column: Column, defense: JudgedDefense) -> Finding | None:
    """Nothing can be shown if the clean images are not classified better than at chance."""
    trial = results.trial(clean_column(results, column.judged), defense)
    if trial is None:
        return None
    right = float((trial.prediction == results.labels).mean())
    expected = chance(trial.prediction, results.labels, len(results.class_names))
    if right > expected:
        return None
    text = f"{percent(right)} of the clean images are right, which is no better than chance"
    return Finding(NOT_RUN, text)


def _at_chance(results: Results, column: Column, defense: JudgedDefense) -> Finding:
    trial = results.trial_against(column, defense)
    assert trial is not None
    right, n = int(np.count_nonzero(trial.prediction == results.labels)), len(results.labels)
    expected = chance(trial.prediction, results.labels, len(results.class_names))
    share, limit = right / n, min(1.0, expected + NEAR_CHANCE)
    text = f"{column.attack}: {percent(share)}; chance is {percent(expected)}"
    if share <= limit:
        return Finding(PASS, text)
    if tail(right, n, limit) < SIGNIFICANT:
        return Finding(FAIL, text)
    return Finding(UNDECIDED, f"{text}; {enough(images_to_exceed(share, limit, n))}")
