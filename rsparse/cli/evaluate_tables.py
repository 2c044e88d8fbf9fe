"""The plan with its cost, and the tables of results, that ``rsparse evaluate`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rsparse.cli.console import Stopwatch, duration, say, summary, wide_table

if TYPE_CHECKING:
    from rsparse.commands.evaluate.estimate import EvaluationCost
    from rsparse.evaluation.plan import Plan
    from rsparse.evaluation.results import Column, Evaluation, ThreatKey


def print_plan(plan: Plan, cost: EvaluationCost) -> None:
    """Print what will be evaluated and the estimated time."""
    attacked = cost.attacks + len(plan.adversarial)
    columns = f"clean and {attacked} attacked"
    if plan.adversarial:
        columns += f" ({len(plan.adversarial)} made elsewhere)"
    if cost.threats > 1:
        columns += f" ({cost.threats} threats)"
    if cost.extra:
        columns += f"; {cost.extra} more for the checks"
    judged = cost.trials * cost.images
    most = "" if cost.is_exact else "at most "
    seconds = cost.attack_seconds + cost.judge_seconds
    bound = "at most " if cost.stops_early else ""
    cores = f"on {cost.cores} core{'s' if cost.cores > 1 else ''}"
    summary(
        "plan",
        {
            "images": f"{most}{cost.images}, {_which(plan.parameters.only_correct)}",
            "scenarios": ", ".join(threat.label for threat in plan.threats),
            "columns": columns,
            "attacked": f"{cost.models_attacked} model{'s' * (cost.models_attacked > 1)}",
            "defenses": str(cost.defenses),
            **({} if plan.detector is None else {"detector": plan.detector.name}),
            "trials": f"{cost.trials}, {most}{judged:,} images to classify",
            "to do": f"{cost.attacks_left} attacks, {cost.trials_left} trials",
            "estimated": f"{bound}{duration(seconds)} {cores}: attacks "
            f"{duration(cost.attack_seconds)}, the rest {duration(cost.judge_seconds)}",
            "output": str(plan.output),
        },
    )


def _which(only_correct: bool) -> str:
    return "those that the model gets right" if only_correct else "right or wrong before the attack"


def print_judged_again(trials: Mapping[str, int]) -> None:
    """Print how many existing trials were made by another method and were judged again."""
    for method, number in trials.items():
        plural = "trial was" if number == 1 else "trials were"
        say(f"{number} {plural} judged again: made by {method}")


def print_results(evaluation: Evaluation, watch: Stopwatch, per_class: bool = False) -> None:
    """Print a table for each threat, optionally one by class, and the results of the checks."""
    from rsparse.detection.evasion import EVASION
    from rsparse.evaluation.checks import count_outcomes, failures
    from rsparse.evaluation.statistics import threats

    for threat in threats(evaluation):
        _print_table(evaluation, threat)
        if per_class:
            _print_classes(evaluation, threat)
        if evaluation.detector is not None:
            _print_rejections(evaluation, threat)
    if evaluation.detector is not None:
        say(EVASION)
    counts = count_outcomes(evaluation.checks)
    for check in failures(evaluation.checks):
        place = " · ".join(part for part in (check.scenario, check.defense) if part)
        place = f" ({place})" if place else ""
        say(f"  check failed: {check.name}{place}: {check.detail}")
    text = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
    say(f"checks: {text} (checks.csv); time {watch}")


def _print_classes(evaluation: Evaluation, threat: ThreatKey) -> None:
    """Print the accuracy of each class in percent: clean → mean under attack, by defense."""
    from rsparse.evaluation.by_class import accuracy_by_class
    from rsparse.evaluation.estimates import percent

    by_defense = [accuracy_by_class(evaluation, d, threat) for d in evaluation.defenses]
    rows = [
        [
            f"{rows[0].label} {rows[0].name}",
            str(rows[0].n),
            *(f"{percent(row.clean, 0)} → {percent(row.attacked, 0)}" for row in rows),
        ]
        for rows in zip(*by_defense, strict=True)
    ]
    wide_table(
        f"top-1 % by class, {threat[0]}: clean → mean under attack",
        ["class", "images", *(defense.text for defense in evaluation.defenses)],
        rows,
    )


def _print_rejections(evaluation: Evaluation, threat: ThreatKey) -> None:
    """Print the shares of images right and accepted, wrong and accepted, and rejected."""
    from rsparse.evaluation.estimates import percent
    from rsparse.evaluation.rejections import shares
    from rsparse.evaluation.statistics import attacked_columns, clean_column, one_of_each_attack

    columns = one_of_each_attack(attacked_columns(evaluation, threat=threat))
    columns = [clean_column(evaluation, threat[2]), *columns]
    rows = []
    for defense in evaluation.defenses:
        found = [shares(evaluation, column, defense) for column in columns]
        cells = [
            "–" if three is None else " / ".join(percent(each.value, 0) for each in three)
            for three in found
        ]
        rows.append([defense.text, *cells])
    level = f"{100 * (evaluation.detector or {}).get('false_alarms', 0):g}"
    wide_table(
        f"% right and accepted / wrong and accepted / rejected by the detector, {threat[0]}; of "
        f"clean images, those rejected are false alarms ({level} % wanted)",
        ["defense", *(_head(column) for column in columns)],
        rows,
    )


def _head(column: Column) -> str:
    """The family of an attack above its parameters."""
    return f"{column.family}\n{column.attack.removeprefix(column.family).lstrip('-')}"


def _print_table(evaluation: Evaluation, threat: ThreatKey) -> None:
    """Print top-1 accuracy in percent; rows are defenses, columns are attacks."""
    from rsparse.evaluation.estimates import percent
    from rsparse.evaluation.statistics import (
        accuracy,
        attacked_columns,
        clean_column,
        mean_attacked,
        one_of_each_attack,
        share,
        worst_case,
    )

    scenario, source, judged = threat
    columns = one_of_each_attack(attacked_columns(evaluation, threat=threat))
    clean = clean_column(evaluation, judged)
    rows = []
    for defense in evaluation.defenses:
        values = [mean_attacked(evaluation, defense, columns)]
        values.append(share(worst_case(evaluation, defense, columns)).value)
        values += [accuracy(evaluation, c, defense).value for c in (clean, *columns)]
        rows.append([defense.text, *(percent(value, 0) for value in values)])
    made_on = f", attacks on {source}" if source else ""
    wide_table(
        f"top-1 %, {scenario}{made_on}, judged {judged}; {len(evaluation.names)} "
        f"images, {_which(evaluation.only_correct)}",
        ["defense", "mean\nattacked", "worst\ncase", "clean", *map(_head, columns)],
        rows,
    )
