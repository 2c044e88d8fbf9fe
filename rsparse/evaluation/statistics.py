"""The numbers that are told of an evaluation, all computed from its per-image predictions.

An image that could not be judged counts as not classified correctly, so that every share of a
column is of the same images. A column that was not tried behind a defense has no share there: it
is left out of that defense's means and worst cases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.core.metrics import Estimate, share_of
from rsparse.errors import InputError
from rsparse.evaluation.results import (
    CLEAN,
    AttackKey,
    Column,
    Defended,
    Evaluation,
    ThreatKey,
)

Flags = NDArray[np.bool_]


def share(flags: Flags) -> Estimate:
    """The share of flags (n,) that are set; of none it is NaN and its interval everything."""
    return share_of(int(np.count_nonzero(flags)), len(flags))


def accuracy(evaluation: Evaluation, column: Column, defense: Defended) -> Estimate:
    """Top-1 accuracy under an attack behind a defense; of no images where it was not tried."""
    if evaluation.trial_against(column, defense) is None:
        return share(np.zeros(0, bool))
    return share(evaluation.correct(column, defense))


def clean_column(evaluation: Evaluation, judged: str | None = None) -> Column:
    """The column of the benign images before a judge, by default the evaluation's model.

    Raises
    ------
    KeyError
        If there is none.
    """
    for column in evaluation.columns:
        if column.family == CLEAN and column.judged == (judged or evaluation.model):
            return column
    raise KeyError(CLEAN)


def attacked_columns(
    evaluation: Evaluation, scenario: str | None = None, threat: ThreatKey | None = None
) -> list[Column]:
    """All columns but the clean ones, or those of a scenario, or of one threat."""
    return [
        column
        for column in evaluation.columns
        if column.family != CLEAN
        and scenario in (None, column.scenario)
        and threat in (None, column.threat)
    ]


def threats(evaluation: Evaluation) -> list[ThreatKey]:
    """Scenario, attacked model and judged model of all attacked columns, each once."""
    return list(dict.fromkeys(column.threat for column in attacked_columns(evaluation)))


def one_of_each_attack(columns: Sequence[Column]) -> list[Column]:
    """The columns without those that differ from one before them only in ``through``.

    A table has one column for them: the row of each defense tells what its own leaves right.
    """
    found: dict[AttackKey, Column] = {}
    for column in columns:
        found.setdefault(column.attack_key, column)
    return list(found.values())


def tried_behind(
    evaluation: Evaluation, defense: Defended, columns: Sequence[Column]
) -> list[Column]:
    """One column of each attack that was tried behind a defense."""
    return [
        column
        for column in one_of_each_attack(columns)
        if evaluation.trial_against(column, defense) is not None
    ]


def mean_attacked(
    evaluation: Evaluation, defense: Defended, columns: Sequence[Column] | None = None
) -> float:
    """Mean top-1 accuracy over attacked columns, by default all; NaN where there are none.

    It compares defenses; what an attacker leaves right is told by ``worst_case``.
    """
    chosen = attacked_columns(evaluation) if columns is None else columns
    tried = tried_behind(evaluation, defense, chosen)
    values = [accuracy(evaluation, column, defense).value for column in tried]
    return float(np.mean(values)) if values else math.nan


def worst_case(
    evaluation: Evaluation, defense: Defended, columns: Sequence[Column] | None = None
) -> Flags:
    """Which images are right under every attack of ``columns``, by default all, and clean, (n,).

    The attacker chooses the attack for each image anew (Carlini et al. 2019, Section 4.3). Where
    none of the columns was tried behind the defense, nothing is known: (0,).
    """
    chosen = attacked_columns(evaluation) if columns is None else columns
    tried = tried_behind(evaluation, defense, chosen)
    if chosen and not tried:
        return np.zeros(0, bool)
    judges = dict.fromkeys(column.judged for column in tried) or (evaluation.model,)
    clean = [clean_column(evaluation, judged) for judged in judges]
    correct = [evaluation.correct(column, defense) for column in (*clean, *tried)]
    return np.logical_and.reduce(correct)


def best_baseline(evaluation: Evaluation, column: Column) -> Defended | None:
    """The most accurate baseline under an attack, of equal ones the first; None without any."""
    baselines = [
        defense
        for defense in evaluation.defenses
        if defense.is_baseline and evaluation.trial_against(column, defense) is not None
    ]
    if not baselines:
        return None
    return max(baselines, key=lambda defense: accuracy(evaluation, column, defense).correct)


def mcnemar(a: Flags, b: Flags) -> float:
    """Exact two-sided p of McNemar's test that two defenses are right equally often.

    Only images that one gets right and the other wrong tell them apart; each such image would go
    either way with probability ½.

    Parameters
    ----------
    a, b : bool arrays of shape (n,)
        Which of the same images each gets right.

    Returns
    -------
    float in (0, 1]
        1 where they never differ.

    Raises
    ------
    InputError
        If they are not of the same images.

    Notes
    -----
    McNemar (1947); the exact form is a binomial test of the discordant pairs.
    """
    if a.shape != b.shape:
        raise InputError(f"expected flags of the same images, got {a.shape} and {b.shape}")
    only_a, only_b = int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / 2**n)


def rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The lines of ``results.csv``, one a trial, in the order of the plan."""
    return [row for column in evaluation.columns for row in _rows_of_column(evaluation, column)]


def defense_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The lines of ``defenses.csv``: clean, mean and worst case of each defense and scenario."""
    return [
        _defense_row(evaluation, defense, threat)
        for threat in threats(evaluation)
        for defense in evaluation.defenses
        if tried_behind(evaluation, defense, attacked_columns(evaluation, threat=threat))
    ]


def _defense_row(evaluation: Evaluation, defense: Defended, threat: ThreatKey) -> dict[str, Any]:
    scenario, source, judged = threat
    columns = attacked_columns(evaluation, threat=threat)
    worst = share(worst_case(evaluation, defense, columns))
    return {
        "scenario": scenario,
        "source": source,
        "judged": judged,
        "defense": defense.text,
        "kind": defense.kind,
        "n": worst.n,
        "clean": accuracy(evaluation, clean_column(evaluation, judged), defense).value,
        "mean_attacked": mean_attacked(evaluation, defense, columns),
        "worst_case": worst.value,
        "worst_low": worst.low,
        "worst_high": worst.high,
        "seconds": defense.seconds,
        "only_correct": evaluation.only_correct,
    }


def _rows_of_column(evaluation: Evaluation, column: Column) -> list[dict[str, Any]]:
    best = best_baseline(evaluation, column)
    shared = {
        "scenario": column.scenario,
        "source": column.source,
        "judged": column.judged,
        "through": column.through,
        "attack": column.attack,
        "family": column.family,
        "strength_name": column.strength_name,
        "strength": column.strength,
    }
    lines = []
    for defense in evaluation.defenses:
        if evaluation.trial(column, defense) is None:
            continue
        right = evaluation.correct(column, defense)
        found = share(right)
        p = None if best is None else mcnemar(right, evaluation.correct(column, best))
        lines.append(
            {
                **shared,
                "defense": defense.text,
                "kind": defense.kind,
                "n": found.n,
                "correct": found.correct,
                "top1": found.value,
                "low": found.low,
                "high": found.high,
                "best_baseline": None if best is None else best.text,
                "p": p,
                **_distortion(column),
                "seconds": defense.seconds,
                "only_correct": evaluation.only_correct,
            }
        )
    return lines


def _distortion(column: Column) -> dict[str, float]:
    """Means and maxima of the change really made, and the share of images it was found for."""
    sizes = {"d": column.d, "l2": column.l2, "linf": column.linf}
    finite = {name: values[np.isfinite(values)] for name, values in sizes.items()}
    means = {f"mean_{name}": float(x.mean()) if len(x) else 0.0 for name, x in finite.items()}
    maxima = {f"max_{name}": float(x.max(initial=0.0)) for name, x in finite.items()}
    return {**means, **maxima, "found": float(column.found.mean()) if len(column.found) else 1.0}
