"""An attacker who knows the defense beside one who does not, at each strength."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rsparse.core.metrics import Estimate
from rsparse.evaluation.names import ADAPTIVE, GRAY_BOX
from rsparse.evaluation.results import Column, JudgedDefense
from rsparse.evaluation.statistics import accuracy, share, tried_behind
from rsparse.pictures.series import Lines, Series
from rsparse.report.figures import STRENGTHS, Figure
from rsparse.report.subjects import Subjects, unique_key
from rsparse.report.tables import Table, Value, share_value

KNOWLEDGE = "knowledge"
KNOWS, KNOWS_NOT = "knows the defense", "does not know it"

Strength = tuple[str, float]


def strengths(subjects: Subjects) -> list[Strength]:
    """The strengths, by name and value, at which the defenses are attacked by both; sorted."""
    if ADAPTIVE not in subjects.scenarios:
        return []
    both = [_strengths_of(subjects.columns(s)) for s in (ADAPTIVE, GRAY_BOX)]
    return sorted(both[0] & both[1]) if GRAY_BOX in subjects.scenarios else sorted(both[0])


def _strengths_of(columns: Sequence[Column]) -> set[Strength]:
    return {
        (column.strength_name, column.strength)
        for column in columns
        if column.strength is not None and column.target is None
    }


def left(
    subjects: Subjects, scenario: str, defense: JudgedDefense, strength: Strength
) -> Estimate | None:
    """The images that are right under every attack of a scenario with this strength.

    None if no such attack was tried behind the defense.
    """
    if scenario not in subjects.scenarios:
        return None
    alike = [
        column
        for column in subjects.columns(scenario)
        if (column.strength_name, column.strength) == strength and column.target is None
    ]
    tried = tried_behind(subjects.evaluation, defense, alike)
    if not tried:
        return None
    return share(np.logical_and.reduce([subjects.evaluation.correct(c, defense) for c in tried]))


def known_and_unknown(subjects: Subjects) -> Table | None:
    """All defenses: clean images, and both attackers at each strength; None without strengths."""
    compared = strengths(subjects)
    if not compared:
        return None
    evaluation, clean = subjects.evaluation, subjects.clean_of(ADAPTIVE)
    rows = []
    for defense in evaluation.defenses:
        row = [Value(defense.text, defense.text)]
        if clean is not None:
            row.append(share_value(accuracy(evaluation, clean, defense)))
        for strength in compared:
            for scenario in (ADAPTIVE, GRAY_BOX):
                found = left(subjects, scenario, defense, strength)
                row.append(Value("–", -1.0) if found is None else share_value(found))
        rows.append(tuple(row))
    heads = [
        f"{name} {value:g}, {knows}" for name, value in compared for knows in (KNOWS, KNOWS_NOT)
    ]
    header = ("defense", *["clean"] * (clean is not None), *heads)
    return Table(
        header,
        tuple(rows),
        (False, *[True] * (len(header) - 1)),
        tuple(defense is subjects.judged for defense in evaluation.defenses),
    )


def knowledge_figures(subjects: Subjects) -> Iterator[Figure]:
    """Accuracy against strength for both attackers, with one figure for each featured defense."""
    names = dict.fromkeys(name for name, _ in strengths(subjects))
    taken: set[str] = set()
    for defense in subjects.featured(ADAPTIVE) if names else ():
        for name in names:
            title = defense.text + (f", {name}" if len(names) > 1 else "")
            yield _figure(subjects, defense, name, title, unique_key(title, taken))


def _figure(subjects: Subjects, defense: JudgedDefense, name: str, title: str, key: str) -> Figure:
    evaluation, clean = subjects.evaluation, subjects.clean_of(ADAPTIVE)
    compared = [strength for strength in strengths(subjects) if strength[0] == name]
    series = []
    for label, style, scenario in ((KNOWS, "ours", ADAPTIVE), (KNOWS_NOT, "b1", GRAY_BOX)):
        found = [(value, left(subjects, scenario, defense, (n, value))) for n, value in compared]
        points = [] if clean is None else [(0.0, accuracy(evaluation, clean, defense))]
        points += [(value, estimate) for value, estimate in found if estimate is not None]
        if points:
            x, y = zip(*points, strict=True)
            series.append(Series(f"an attacker who {label}", style, x, y))
    n = len(evaluation.names)
    label = STRENGTHS.get(name, name)
    ends = "; ".join(
        f"{line.label}: {100 * line.y[-1].value:.1f} % at {line.x[-1]:g}" for line in series
    )
    return Figure(
        KNOWLEDGE,
        f"{KNOWLEDGE}-{key}",
        title,
        f"Top-1 accuracy against {label}. {ends}.",
        Lines(label, tuple(series)),
        ("attacker", name, "accuracy", "low", "high", "n"),
        tuple(
            (line.label, x, *y.numbers, n)
            for line in series
            for x, y in zip(line.x, line.y, strict=True)
        ),
    )
