"""The numbers of an evaluation, all computed from its predictions for each image.

An image that could not be classified counts as wrong, so that all shares in a column refer to the
same images. A column that was not tried behind a defense is left out of that defense's means and
worst cases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rsparse.core.metrics import Estimate, share_of
from rsparse.core.paired import Flags, mcnemar
from rsparse.evaluation import rejections
from rsparse.evaluation.results import (
    CLEAN,
    AttackKey,
    Column,
    Evaluation,
    JudgedDefense,
    ThreatKey,
    Trial,
)


def share(flags: Flags) -> Estimate:
    """The share of flags (n,) that are set; for n = 0 it is NaN with the interval from 0 to 1."""
    return share_of(int(np.count_nonzero(flags)), len(flags))


def accuracy(evaluation: Evaluation, column: Column, defense: JudgedDefense) -> Estimate:
    """Top-1 accuracy under an attack behind a defense; a share of 0 images if it was not tried."""
    if evaluation.trial_against(column, defense) is None:
        return share(np.zeros(0, bool))
    return share(evaluation.correct(column, defense))


def clean_column(evaluation: Evaluation, judged: str | None = None) -> Column:
    """The column of the clean images for a judged model, by default the evaluation's own.

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
    """All columns but the clean ones; optionally of one scenario or threat only."""
    return [
        column
        for column in evaluation.columns
        if column.family != CLEAN
        and scenario in (None, column.scenario)
        and threat in (None, column.threat)
    ]


def threats(evaluation: Evaluation) -> list[ThreatKey]:
    """The distinct threats of all attacked columns: scenario, attacked model and judged model."""
    return list(dict.fromkeys(column.threat for column in attacked_columns(evaluation)))


def one_of_each_attack(columns: Sequence[Column]) -> list[Column]:
    """The columns, without those that differ from an earlier one only in ``through``.

    A table shows such columns as one, in which each defense has the accuracy under the attack that
    was made through it.
    """
    first: dict[AttackKey, Column] = {}
    for column in columns:
        first.setdefault(column.attack_key, column)
    return list(first.values())


def tried_behind(
    evaluation: Evaluation, defense: JudgedDefense, columns: Sequence[Column]
) -> list[Column]:
    """One column for each attack that was tried behind a defense."""
    return [
        column
        for column in one_of_each_attack(columns)
        if evaluation.trial_against(column, defense) is not None
    ]


def mean_attacked(
    evaluation: Evaluation, defense: JudgedDefense, columns: Sequence[Column] | None = None
) -> float:
    """Mean top-1 accuracy over attacked columns, by default all; NaN if there are none.

    The mean is for comparing defenses. For robustness against an attacker see ``worst_case``.
    """
    chosen = attacked_columns(evaluation) if columns is None else columns
    tried = tried_behind(evaluation, defense, chosen)
    values = [accuracy(evaluation, column, defense).value for column in tried]
    return float(np.mean(values)) if values else math.nan


def worst_case(
    evaluation: Evaluation, defense: JudgedDefense, columns: Sequence[Column] | None = None
) -> Flags:
    """Which images are correct without an attack and under every attack of ``columns``, (n,).

    The attacker chooses the strongest attack for each image (Carlini et al. 2019, Section 4.3). By
    default ``columns`` are all attacked columns. If none of them was tried behind the defense, the
    result is empty: (0,).
    """
    chosen = attacked_columns(evaluation) if columns is None else columns
    tried = tried_behind(evaluation, defense, chosen)
    if chosen and not tried:
        return np.zeros(0, bool)
    models = dict.fromkeys(column.judged for column in tried) or (evaluation.model,)
    clean = [clean_column(evaluation, judged) for judged in models]
    correct = [evaluation.correct(column, defense) for column in (*clean, *tried)]
    return np.logical_and.reduce(correct)


def best_baseline(evaluation: Evaluation, column: Column) -> JudgedDefense | None:
    """The most accurate baseline under an attack; ties go to the first. None if there is none."""
    baselines = [
        defense
        for defense in evaluation.defenses
        if defense.is_baseline and evaluation.trial_against(column, defense) is not None
    ]
    if not baselines:
        return None
    return max(baselines, key=lambda defense: accuracy(evaluation, column, defense).correct)


def rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The rows of ``results.csv``: one for each trial, in the order of the plan."""
    return [row for column in evaluation.columns for row in _rows_of_column(evaluation, column)]


def defense_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The rows of ``defenses.csv``: clean, mean and worst case for each defense and scenario."""
    return [
        _defense_row(evaluation, defense, threat)
        for threat in threats(evaluation)
        for defense in evaluation.defenses
        if tried_behind(evaluation, defense, attacked_columns(evaluation, threat=threat))
    ]


def _defense_row(
    evaluation: Evaluation, defense: JudgedDefense, threat: ThreatKey
) -> dict[str, Any]:
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
    lines = []
    for defense in evaluation.defenses:
        if evaluation.trial(column, defense) is None:
            continue
        correct = evaluation.correct(column, defense)
        estimate, reached = share(correct), target_reached(evaluation, column, defense)
        p = None if best is None else mcnemar(correct, evaluation.correct(column, best))
        lines.append(
            {
                **_column_cells(column),
                "defense": defense.text,
                "kind": defense.kind,
                "n": estimate.n,
                "correct": estimate.correct,
                "top1": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "best_baseline": None if best is None else best.text,
                "p": p,
                "target_reached": None if column.target is None else reached.value,
                **_shares(rejections.shares(evaluation, column, defense)),
                **_distortion(column),
                "seconds": defense.seconds,
                "only_correct": evaluation.only_correct,
                **_treatment_cells(evaluation.trial(column, defense)),
            }
        )
    return lines


def _shares(found: rejections.Shares | None) -> dict[str, float | None]:
    """The cells of a detector; empty without one."""
    names = ("right_accepted", "wrong_accepted", "rejected")
    values = [None] * len(names) if found is None else [each.value for each in found]
    return dict(zip(names, values, strict=True))


def _treatment_cells(trial: Trial | None) -> dict[str, Any]:
    """How many images were treated how, and how much they were changed."""
    treated = None if trial is None else trial.treated
    if treated is None:
        return {"done": None, "unchanged": None, "mean_psnr": None}
    counts = "; ".join(f"{n} {text}" for text, n in treated.counts().items())
    return {"done": counts, "unchanged": treated.unchanged, "mean_psnr": treated.mean_psnr}


def _column_cells(column: Column) -> dict[str, Any]:
    """The cells that are the same in all rows of a column."""
    return {
        "scenario": column.scenario,
        "source": column.source,
        "judged": column.judged,
        "through": column.through,
        "attack": column.attack,
        "family": column.family,
        "strength_name": column.strength_name,
        "strength": column.strength,
    }


def target_reached(evaluation: Evaluation, column: Column, defense: JudgedDefense) -> Estimate:
    """The share of images that a targeted attack leads to its target class behind a defense.

    Images that are in the target class by their label do not count. A share of 0 images if the
    attack has no target or was not tried.
    """
    trial = evaluation.trial_against(column, defense)
    target = evaluation.column_against(column, defense).target
    if trial is None or target is None:
        return share(np.zeros(0, bool))
    aimed = (target >= 0) & (target != evaluation.labels)
    return share((trial.prediction == target)[aimed])


def _distortion(column: Column) -> dict[str, float]:
    """Means and maxima of the actual change, and the share of images that have one."""
    sizes = {"d": column.d, "l2": column.l2, "linf": column.linf}
    finite = {name: values[np.isfinite(values)] for name, values in sizes.items()}
    means = {f"mean_{name}": float(x.mean()) if len(x) else 0.0 for name, x in finite.items()}
    maxima = {f"max_{name}": float(x.max(initial=0.0)) for name, x in finite.items()}
    return {**means, **maxima, "found": float(column.found.mean()) if len(column.found) else 1.0}
