"""The figures of a report: a chart, its description, and its numbers as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.core.metrics import Estimate
from rsparse.evaluation.estimates import mean_share, number, percent
from rsparse.evaluation.names import GRAY_BOX, TRANSFER
from rsparse.evaluation.results import Column
from rsparse.evaluation.statistics import accuracy, tried_behind
from rsparse.pictures.series import BASELINE_STYLES, Bars, Chart, Lines, Ratios, Series
from rsparse.report.subjects import Family, Subjects
from rsparse.store.csv_text import csv_line, text_cell

ACCURACY, ABLATION, TRANSFERRED, ACTIVATION = "accuracy", "ablation", "transfer", "activation"
CERTIFIED = "certified"
COLUMN_KEY = ("scenario", "source", "judged", "through", "attack")
STRENGTHS = {"eps": "ε, grey levels (L∞)", "d": "dissimilarity d (L2)"}


@dataclass(frozen=True)
class Figure:
    """One chart with its data.

    ``group`` is the section of the page that shows it. ``key`` is the base of its file names and of
    its identifiers in the page. ``header`` and ``rows`` are its data, as in its CSV file.
    """

    group: str
    key: str
    title: str
    description: str
    chart: Chart
    header: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def csv(self) -> str:
        """The data as CSV."""
        return to_csv(self.header, self.rows)


def to_csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table as CSV: floats have six digits, and a missing number is an empty cell."""
    return "".join(csv_line(_cell(value) for value in row) for row in (header, *rows))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.6g}"
    if isinstance(value, str):
        return text_cell(value)
    return "" if value is None else str(value)


def styles_of(subjects: Subjects, scenario: str) -> dict[str, str]:
    """The style of each defense that is drawn in colour, by its short name."""
    styles: dict[str, str] = {}
    unused = list(BASELINE_STYLES)
    for defense in subjects.featured(scenario):
        if defense is subjects.judged:
            styles[defense.text] = "ours"
        elif defense is subjects.undefended:
            styles[defense.text] = "none"
        elif unused:
            styles[defense.text] = unused.pop(0)
    return styles


def accuracy_figures(subjects: Subjects) -> Iterator[Figure]:
    """Accuracy against strength, with one figure for each kind of attack (the paper's Fig. 5).

    Gray-box, if it is not the main scenario, and each scenario with another judged model have such
    figures in a group of their own: the paper's Fig. 6 (black-box) and Fig. 7 (extended gray-box).
    """
    for scenario in (subjects.main_scenario, *charted_scenarios(subjects)):
        group = ACCURACY if scenario == subjects.main_scenario else scenario
        for family in subjects.families_of(scenario):
            strengths = [column.strength for column in family.columns]
            if None in strengths or len(set(strengths)) < 2:
                yield _bars(subjects, family.strongest, family, group)
            else:
                yield _against_strength(subjects, family, group)


def charted_scenarios(subjects: Subjects) -> list[str]:
    """Gray-box, if not the main scenario, and those whose judged model is another one."""
    main = subjects.judged_model(subjects.main_scenario)
    return [s for s in subjects.scenarios[1:] if s == GRAY_BOX or subjects.judged_model(s) != main]


def _against_strength(subjects: Subjects, family: Family, group: str) -> Figure:
    evaluation = subjects.evaluation
    styles = styles_of(subjects, family.scenario)
    benign = subjects.clean_of(family.scenario)
    clean = [] if benign is None else [(0.0, benign)]
    columns = [*clean, *((column.strength or 0.0, column) for column in family.columns)]
    series, rows = [], []
    for defense in evaluation.defenses:
        tried = [pair for pair in columns if tried_behind(evaluation, defense, pair[1:])]
        if not tried_behind(evaluation, defense, family.columns):
            continue
        estimates = [accuracy(evaluation, column, defense) for _, column in tried]
        x = tuple(strength for strength, _ in tried)
        style = styles.get(defense.text, "faint")
        series.append(Series(defense.text, style, x, tuple(estimates)))
        for strength, estimate in zip(x, estimates, strict=True):
            rows.append((defense.text, strength, *estimate.numbers, len(evaluation.names)))
    series.sort(key=lambda line: list(styles).index(line.label) if line.label in styles else 99)
    label = STRENGTHS.get(family.strength_name, family.strength_name or "strength")
    header = ("defense", family.strength_name or "strength", "accuracy", "low", "high", "n")
    return Figure(
        group,
        f"{ACCURACY}-{family.key}",
        family.title,
        _describe(series, label),
        Lines(label, tuple(series)),
        header,
        tuple(rows),
    )


def _describe(series: Sequence[Series], label: str) -> str:
    shown = [line for line in series if line.style != "faint"]
    parts = [
        f"{line.label}: {percent(line.y[0].value)} % at {number(line.x[0])}, "
        f"{percent(line.y[-1].value)} % at {number(line.x[-1])}"
        for line in shown
    ]
    return f"Top-1 accuracy against {label}. " + "; ".join(parts) + "."


def _bars(subjects: Subjects, column: Column, family: Family, group: str) -> Figure:
    """Bars of one column, for the defenses that are drawn in colour."""
    evaluation = subjects.evaluation
    styles = styles_of(
        subjects, family.scenario if group != TRANSFERRED else subjects.main_scenario
    )
    tried = [d for d in evaluation.defenses if tried_behind(evaluation, d, [column])]
    rows = [(d, accuracy(evaluation, column, d)) for d in tried]
    drawn = [(d.text, styles[d.text], estimate) for d, estimate in rows if d.text in styles]
    drawn.sort(key=lambda row: list(styles).index(row[0]))
    strength = "" if column.strength is None else f"{column.strength_name} = {column.strength:g}"
    title = family.title if not strength else f"{family.title}, {strength}"
    n, bars = len(evaluation.names), TRANSFERRED if group == TRANSFERRED else ACCURACY
    return Figure(
        group,
        f"{bars}-{family.key.removeprefix(f'{bars}-')}",
        title,
        _describe_bars(drawn),
        Bars(tuple(drawn)),
        (*COLUMN_KEY, "defense", "accuracy", "low", "high", "n"),
        tuple((*evaluation.column_against(column, d).key, d.text, *e.numbers, n) for d, e in rows),
    )


def _describe_bars(rows: Sequence[tuple[str, str, Estimate]]) -> str:
    shown = "; ".join(f"{label}: {percent(estimate.value)} %" for label, _, estimate in rows)
    return f"Top-1 accuracy. {shown}."


def ablation_figures(subjects: Subjects) -> Iterator[Figure]:
    """The judged RegionSparse and its other settings (Fig. 4); no figures for a single setting."""
    if len(subjects.ablations) < 2:
        return
    families = subjects.families_of(subjects.main_scenario)
    groups = [] if subjects.clean is None else [("clean", "clean images", [subjects.clean])]
    everything = subjects.columns(subjects.main_scenario)
    if len(families) > 1:
        groups.append(("all", f"mean over all {len(everything)} attacks", everything))
    for family in families:
        several = "" if len(family.columns) == 1 else f", mean over {len(family.columns)} strengths"
        groups.append((family.key, family.title + several, list(family.columns)))
    for key, title, columns in groups:
        yield _ablation(subjects, key, title, columns)


def _ablation(subjects: Subjects, key: str, title: str, columns: Sequence[Column]) -> Figure:
    evaluation = subjects.evaluation
    ordered = sorted(subjects.ablations, key=lambda defense: defense is not subjects.judged)
    ordered = [d for d in ordered if tried_behind(evaluation, d, columns)]
    rows = [(d, mean_share(evaluation, d, columns)) for d in ordered]
    drawn = [(d.text, "ours" if d is subjects.judged else "b1", e) for d, e in rows]
    n = len(evaluation.names)
    return Figure(
        ABLATION,
        f"{ABLATION}-{key}",
        title,
        _describe_bars(drawn),
        Bars(tuple(drawn)),
        ("defense", "accuracy", "low", "high", "columns", "n"),
        tuple((d.text, *estimate.numbers, len(columns), n) for d, estimate in rows),
    )


def transfer_figures(subjects: Subjects) -> Iterator[Figure]:
    """Attacks on other models, each at its largest strength (Fig. 8)."""
    for scenario in subjects.scenarios:
        if scenario != TRANSFER:
            continue
        for family in subjects.families_of(scenario):
            yield _bars(subjects, family.strongest, family, TRANSFERRED)


def activation_figure(
    family: Family, depth: NDArray[np.int64], ratios: Sequence[tuple[str, NDArray[np.float64]]]
) -> Figure:
    """Total activation by depth, relative to the benign images (the paper's Section III).

    Parameters
    ----------
    family : Family
        The attack; its middle strength is shown.
    depth : int array of shape (n_layers,)
    ratios : sequence of (label, float array of shape (n_images, n_layers))
        Total activation of each version of the images, divided by that of the benign version; NaN
        where the latter is 0.
    """
    series, rows = [], []
    for (label, values), style in zip(ratios, ("none", "ours", "b1"), strict=False):
        estimates = [_quartiles(column) for column in values.T]
        series.append(Series(label, style, tuple(map(float, depth)), tuple(estimates)))
        rows += [
            (label, int(d), *e.numbers, len(values)) for d, e in zip(depth, estimates, strict=True)
        ]
    last = "; ".join(f"{line.label}: {line.y[-1].value:.2f} in the last layer" for line in series)
    return Figure(
        ACTIVATION,
        f"{ACTIVATION}-{family.key}",
        f"{family.title}, {_strength(family.middle)}",
        f"Total activation by depth relative to the benign images (median). {last}.",
        Ratios("depth (convolutions from the input)", tuple(series)),
        ("version", "depth", "median", "first_quartile", "third_quartile", "n"),
        tuple(rows),
    )


def _quartiles(values: NDArray[np.float64]) -> Estimate:
    known = values[~np.isnan(values)]
    if not known.size:
        return Estimate(np.nan, np.nan, np.nan)
    low, middle, high = np.percentile(known, (25, 50, 75))
    return Estimate(float(middle), float(low), float(high))


def _strength(column: Column) -> str:
    if column.strength is None:
        return column.attack
    return f"{column.strength_name} = {column.strength:g}"
