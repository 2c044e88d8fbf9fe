"""The tables of a report: defenses over all attacks, the attacks, and image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rsparse.core.metrics import Estimate
from rsparse.evaluation.estimates import (
    interval,
    mean_share,
    number,
    paired_difference,
    per_image,
    percent,
    points,
)
from rsparse.evaluation.results import Column, JudgedDefense
from rsparse.evaluation.statistics import accuracy, share, target_reached, tried_behind
from rsparse.report.comparison import Effect, compare
from rsparse.report.subjects import Subjects
from rsparse.report.verdict import worst_flags

MOST_ROWS = 2000


@dataclass(frozen=True)
class Value:
    """A cell of a table: text, sort key, note, and whether it is the best in its column.

    ``effect`` is ``gain`` or ``harm`` if a share differs from that without a defense.
    """

    text: str
    order: float | str
    note: str = ""
    best: bool = False
    effect: str = ""

    @property
    def sign(self) -> str:
        """The sign of the effect, the same size for gain and harm."""
        return {"gain": "▲", "harm": "▼"}.get(self.effect, "")


@dataclass(frozen=True)
class Table:
    """A table whose first column is text.

    ``numeric`` says which columns contain numbers, and ``marked`` which rows are those of the
    judged defense.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    numeric: tuple[bool, ...]
    marked: tuple[bool, ...] = ()


def share_value(estimate: Estimate) -> Value:
    """A share in per cent with its interval; a dash for NaN."""
    if np.isnan(estimate.value):
        return Value(percent(estimate.value), estimate.value)
    return Value(percent(estimate.value), estimate.value, f"{interval(estimate)} %")


def _with_best(rows: list[list[Value]], columns: Sequence[int]) -> list[tuple[Value, ...]]:
    """Mark the largest number in each of the columns."""
    for place in columns:
        numbers = [row[place].order for row in rows if isinstance(row[place].order, float)]
        known = [value for value in numbers if isinstance(value, float) and not np.isnan(value)]
        for row in rows:
            value = row[place]
            if known and value.order == max(known):
                row[place] = replace(value, best=True)
    return [tuple(row) for row in rows]


def overview(subjects: Subjects, scenario: str) -> Table:
    """All defenses: clean, mean under attack, worst case, difference to the best baseline, time."""
    evaluation, columns = subjects.evaluation, subjects.columns(scenario)
    clean = subjects.clean_of(scenario)
    best = subjects.best_baseline(scenario)
    reference = None if best is None else per_image(evaluation, best, columns)
    rows = []
    for defense in evaluation.defenses:
        worst = share(worst_flags(subjects, defense, scenario)).value
        row = [Value(defense.text, defense.text)]
        if clean is not None:
            row.append(_share_with_effect(subjects, defense, [clean]))
        row.append(_share_with_effect(subjects, defense, columns))
        row.append(Value(percent(worst), worst))
        if reference is not None:
            row.append(_gap(per_image(evaluation, defense, columns), reference, defense is best))
        row.append(_seconds(defense))
        rows.append(row)
    header = ["defense", *(["clean"] if clean is not None else []), "mean under attack"]
    header += ["worst case", *(["vs. best baseline"] if best is not None else []), "ms per image"]
    shares = range(1, header.index("worst case") + 1)
    return Table(
        tuple(header),
        tuple(_with_best(rows, shares)),
        (False, *[True] * (len(header) - 1)),
        tuple(defense is subjects.judged for defense in evaluation.defenses),
    )


def _share_with_effect(
    subjects: Subjects, defense: JudgedDefense, columns: Sequence[Column]
) -> Value:
    """The mean share, marked if it differs from that without a defense beyond chance."""
    value = share_value(mean_share(subjects.evaluation, defense, columns))
    undefended = subjects.undefended
    if undefended is None or defense is undefended:
        return value
    compared = compare(subjects, defense, undefended, columns)
    shown = compared is not None and compared.effect is not Effect.UNDECIDED
    return replace(value, effect=compared.effect.value) if compared and shown else value


def _gap(ours: Any, reference: Any, is_reference: bool) -> Value:
    if is_reference:
        return Value("reference", 0.0)
    gap = paired_difference(ours, reference)
    if np.isnan(gap.value):
        return Value(points(gap.value), gap.value)
    return Value(points(gap.value), gap.value, f"{points(gap.low)} to {points(gap.high)}")


def _seconds(defense: JudgedDefense) -> Value:
    if defense.seconds is None:
        return Value("–", -1.0)
    milliseconds = 1000 * defense.seconds
    text = f"{milliseconds:.3g}" if milliseconds < 1000 else f"{milliseconds:.0f}"
    return Value(text, defense.seconds)


def by_column(subjects: Subjects, columns: Sequence[Column], heads: Sequence[str]) -> Table:
    """Top-1 accuracy of every defense in each of ``columns``."""
    evaluation = subjects.evaluation
    rows = [
        [Value(d.text, d.text), *(share_value(accuracy(evaluation, c, d)) for c in columns)]
        for d in evaluation.defenses
    ]
    return Table(
        ("defense", *heads),
        tuple(_with_best(rows, range(1, len(heads) + 1))),
        (False, *[True] * len(heads)),
        tuple(defense is subjects.judged for defense in evaluation.defenses),
    )


def attacks(subjects: Subjects) -> Table:
    """The actual change that each attack made to the images, after rounding to 8 bits."""
    columns = [c for scenario in subjects.scenarios for c in subjects.all_columns(scenario)]
    adaptive = any(column.through for column in columns)
    aimed, evaluation = any(column.target is not None for column in columns), subjects.evaluation
    defenses = [d for d in (subjects.undefended, subjects.judged) if aimed and d is not None]
    rows = []
    for column in columns:
        texts = [column.scenario, column.source, column.judged]
        texts += [column.through] * adaptive + [column.attack]
        row = [Value(text, text) for text in texts]
        for sizes, digits in ((column.linf, 3), (column.l2, 3), (column.d, 3)):
            row += [_size(float(np.mean(sizes)), digits), _size(float(np.max(sizes)), digits)]
        changed = float(np.mean(column.found))
        row.append(Value(percent(changed, 0), changed))
        if aimed:
            row += [share_value(target_reached(evaluation, column, d)) for d in defenses]
        rows.append(tuple(row))
    header = (
        "scenario",
        "made on",
        "judged by",
        *["through"] * adaptive,
        "attack",
        "L∞ mean",
        "L∞ max",
        "L2 mean",
        "L2 max",
        "d mean",
        "d max",
        "found %",
        *(f"target reached, {defense.text}" for defense in defenses),
    )
    n_numbers = 7 + len(defenses)
    return Table(header, tuple(rows), (*[False] * (len(header) - n_numbers), *[True] * n_numbers))


def _size(value: float, digits: int) -> Value:
    return Value(f"{value:.{digits}g}" if value < 1000 else f"{value:.0f}", value)


def images(subjects: Subjects) -> Table:
    """Image by image: the label, and the number of attacks under which it is classified correctly.

    The attacks are those of the main scenario. The table has at most ``MOST_ROWS`` images.
    """
    evaluation, scenario = subjects.evaluation, subjects.main_scenario
    columns = subjects.columns(scenario)
    defenses = table_defenses(subjects, scenario)
    counts = {
        d.text: np.rint(
            per_image(evaluation, d, columns) * len(tried_behind(evaluation, d, columns))
        ).astype(int)
        for d in defenses
    }
    worst = {d.text: worst_flags(subjects, d, scenario) for d in defenses}
    rows = []
    for i, name in enumerate(evaluation.names[:MOST_ROWS]):
        label = class_name(subjects, int(evaluation.labels[i]))
        row = [Value(name, name), Value(label, label)]
        if subjects.clean is not None and subjects.judged is not None:
            row.append(_prediction(subjects, subjects.clean, subjects.judged, i))
        for d in defenses:
            count = int(counts[d.text][i])
            row.append(Value(f"{count}", float(count), "all attacks" * bool(worst[d.text][i])))
        rows.append(tuple(row))
    clean = ["clean, defended"] * (subjects.clean is not None and subjects.judged is not None)
    header = ("image", "label", *clean, *(d.text for d in defenses))
    numeric = (False, False, *[False] * len(clean), *[True] * len(defenses))
    return Table(header, tuple(rows), numeric)


def table_defenses(subjects: Subjects, scenario: str) -> list[JudgedDefense]:
    """The judged defense, the best baseline and none; only those that were tried."""
    candidates = (subjects.judged, subjects.best_baseline(scenario), subjects.undefended)
    columns = subjects.columns(scenario)
    return [
        d for d in candidates if d is not None and tried_behind(subjects.evaluation, d, columns)
    ]


def _prediction(subjects: Subjects, column: Column, defense: JudgedDefense, i: int) -> Value:
    trial = subjects.evaluation.trial(column, defense)
    prediction = -1 if trial is None else int(trial.prediction[i])
    correct = prediction == int(subjects.evaluation.labels[i])
    name = class_name(subjects, prediction)
    return Value(f"{'✓' if correct else '✕'} {name}", f"{int(correct)} {name}")


def class_name(subjects: Subjects, index: int) -> str:
    """The first name of a class; "not judged" for −1."""
    names = subjects.evaluation.class_names
    if index < 0:
        return "not judged"
    return names[index].split(",")[0] if index < len(names) else f"class {index}"


def strength_head(column: Column) -> str:
    """The heading of a column among others of the same attack."""
    if column.strength is None:
        return column.attack
    return f"{column.strength_name} {number(column.strength)}"
