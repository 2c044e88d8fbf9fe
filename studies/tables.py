"""The CSV tables of docs/results/ from an evaluation, with shares in per cent."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rsparse.core.metrics import Estimate
from rsparse.evaluation import statistics
from rsparse.evaluation.checks import count_outcomes, failures
from rsparse.evaluation.estimates import mean_share, paired_difference, per_image, percent
from rsparse.evaluation.results import Column, Evaluation, JudgedDefense
from rsparse.report.subjects import Subjects

Row = dict[str, str]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a CSV file; its columns are the keys of all rows, in order of appearance."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> list[Row]:
    """Read a file of ``write_rows``."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def about(evaluation: Evaluation, machine: str, facts: Mapping[str, str]) -> list[Row]:
    """Model, number of photographs and machine of a part, and figures that no table has."""
    number = count_outcomes(evaluation.checks)
    found = {
        "model": evaluation.model,
        "photographs": str(len(evaluation.names)),
        "machine": machine,
        "checks_passed": str(number.get("pass", 0)),
        "checks_failed": str(number.get("fail", 0)),
        "checks_undecided": str(number.get("undecided", 0)),
        "checks_not_run": str(number.get("not run", 0)),
        **facts,
    }
    return [{"key": key, "value": value} for key, value in found.items()]


def accuracy(subjects: Subjects) -> Iterator[Row]:
    """Top-1 of each defense in each scenario: clean, under each attack, and their mean."""
    evaluation = subjects.evaluation
    for name, clean, columns in _by_source(subjects):
        for defense in evaluation.defenses:
            yield {
                "scenario": name,
                "defense": defense.text,
                "clean": percent(statistics.accuracy(evaluation, clean, defense).value),
                **{
                    c.attack: percent(statistics.accuracy(evaluation, c, defense).value)
                    for c in columns
                },
                "mean": percent(mean_share(evaluation, defense, columns).value),
            }


def defenses(subjects: Subjects) -> Iterator[Row]:
    """Each defense: clean, mean under attack, worst case, distance to the best baseline, time."""
    evaluation = subjects.evaluation
    for scenario in subjects.scenarios:
        clean, columns = _clean_of(subjects, scenario), subjects.columns(scenario)
        best = subjects.best_baseline(scenario)
        for defense in evaluation.defenses:
            worst = statistics.worst_case(evaluation, defense, columns)
            yield {
                "scenario": scenario,
                "defense": defense.text,
                **with_interval("clean", statistics.accuracy(evaluation, clean, defense)),
                **with_interval("attacked", mean_share(evaluation, defense, columns)),
                "worst_case": percent(worst.mean()),
                **difference_to(best, evaluation, defense, columns),
                "milliseconds": "" if defense.seconds is None else f"{1000 * defense.seconds:.3g}",
            }


def means(evaluation: Evaluation) -> Iterator[Row]:
    """Each defense over all attacked columns, whichever model was attacked."""
    clean = statistics.clean_column(evaluation)
    for defense in evaluation.defenses:
        yield {
            "defense": defense.text,
            "clean": percent(statistics.accuracy(evaluation, clean, defense).value),
            "attacked": percent(statistics.mean_attacked(evaluation, defense)),
        }


def failed_checks(evaluation: Evaluation) -> Iterator[Row]:
    """The items of the checklist that failed."""
    for check in failures(evaluation.checks):
        yield {
            "check": check.name,
            "scenario": check.scenario,
            "defense": check.defense,
            "evidence": check.detail,
        }


def gain(
    evaluation: Evaluation,
    ours: tuple[JudgedDefense, Sequence[Column]],
    other: tuple[JudgedDefense, Sequence[Column]],
) -> Row:
    """Two defenses, each over its own columns of the same images, and their paired difference."""
    means = [per_image(evaluation, defense, columns) for defense, columns in (ours, other)]
    return {
        "n_columns": str(len(ours[1])),
        "ours": ours[0].text,
        "other": other[0].text,
        "ours_percent": percent(means[0].mean()),
        "other_percent": percent(means[1].mean()),
        **with_interval("difference", paired_difference(*means)),
    }


def _clean_of(subjects: Subjects, scenario: str) -> Column:
    clean = subjects.clean_of(scenario)
    assert clean is not None
    return clean


def _by_source(subjects: Subjects) -> Iterator[tuple[str, Column, list[Column]]]:
    """Each scenario's clean and attacked columns, separated by attacked model."""
    for scenario in subjects.scenarios:
        columns = subjects.columns(scenario)
        sources = list(dict.fromkeys(column.source for column in columns))
        for source in sources:
            name = scenario if len(sources) == 1 else f"{scenario}: {source}"
            chosen = [column for column in columns if column.source == source]
            yield name, _clean_of(subjects, scenario), chosen


def with_interval(name: str, estimate: Estimate) -> Row:
    """An estimate in per cent, in the columns NAME, NAME_low and NAME_high."""
    return {
        name: percent(estimate.value),
        f"{name}_low": percent(estimate.low),
        f"{name}_high": percent(estimate.high),
    }


def difference_to(
    other: JudgedDefense | None,
    evaluation: Evaluation,
    defense: JudgedDefense,
    columns: Sequence[Column],
) -> Row:
    """The paired difference of a defense to another; empty for that one, and if there is none."""
    if other is None or defense is other:
        return dict.fromkeys(("difference", "difference_low", "difference_high"), "")
    ours, theirs = (per_image(evaluation, d, columns) for d in (defense, other))
    return with_interval("difference", paired_difference(ours, theirs))
