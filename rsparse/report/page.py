"""The page of a report: one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rsparse.evaluation.checks import FAIL, UNDECIDED, worst_first
from rsparse.pages.rendering import Templates
from rsparse.pages.spelled import flat, plain
from rsparse.pictures.charts import marker_svg, svg
from rsparse.pictures.series import Lines, Ratios
from rsparse.report import classes, figures, tables
from rsparse.report.checklist import SYMBOLS, checks_of_judged, other_checks
from rsparse.report.figures import Figure, to_csv
from rsparse.report.headline import headline, key_numbers
from rsparse.report.knowledge import KNOWLEDGE, known_and_unknown
from rsparse.report.pictures import Gallery
from rsparse.report.rejections import REJECTIONS, TITLE, about, all_rejected
from rsparse.report.sections import ChartSection, chart_sections
from rsparse.report.subjects import Subjects
from rsparse.report.table_two import tables_two
from rsparse.report.treatments import (
    TREATMENTS,
    TREATMENTS_TEXT,
    TREATMENTS_TITLE,
    what_was_done,
)
from rsparse.report.verdict import describe_scenario, verdicts
from rsparse.store.labels import OWN_PREDICTIONS

_PARTS = ("tables", "compare", "outcomes", "tips")
_STYLES = ("base.css", *(f"{part}.css" for part in _PARTS), "records.css", "report.css")
_SCRIPTS = tuple(f"{part}.js" for part in _PARTS)
_TEMPLATES = Templates("rsparse.report", {"flat": flat, "plain": plain})


@dataclass(frozen=True)
class DrawnFigure:
    """A figure as the page shows it."""

    figure: Figure
    svg: str
    csv_url: str
    table: tables.Table


def render_page(subjects: Subjects, charts: Sequence[Figure], gallery: Gallery) -> str:
    """Render the whole page. Equal inputs give equal text.

    Parameters
    ----------
    subjects : Subjects
    charts : sequence of Figure
        In the order in which the sections show them.
    gallery : Gallery
    """
    drawn: dict[str, list[DrawnFigure]] = {}
    for figure in charts:
        drawn.setdefault(figure.group, []).append(_draw(subjects, figure))
    charted = [section for section in chart_sections(subjects) if section.group in drawn]
    checks = worst_first(checks_of_judged(subjects))
    return _TEMPLATES.render(
        "page.html",
        styles=_STYLES,
        scripts=_SCRIPTS,
        generator=subjects.evaluation.record["generator"],
        evaluation=subjects.evaluation,
        subjects=subjects,
        headline=headline(subjects),
        verdicts=verdicts(subjects),
        numbers=key_numbers(subjects),
        scenarios={s: describe_scenario(subjects, s) for s in subjects.scenarios},
        knowledge=known_and_unknown(subjects),
        overviews={s: tables.overview(subjects, s) for s in subjects.scenarios},
        groups=drawn,
        charted=charted,
        tables_two=tables_two(subjects),
        rejected=all_rejected(subjects),
        about_rejected=about(subjects),
        sections=_sections(subjects, charted),
        basis=basis(subjects),
        legends=_legends(charts),
        attacks=tables.attacks(subjects),
        treatments=what_was_done(subjects),
        treatments_text=TREATMENTS_TEXT,
        images=tables.images(subjects),
        by_class=classes.by_class(subjects),
        confusions=classes.confusions(subjects),
        n_attacks=len(subjects.columns(subjects.main_scenario)),
        most_rows=tables.MOST_ROWS,
        gallery=gallery,
        open_checks=[check for check in checks if check.outcome in (FAIL, UNDECIDED)],
        settled_checks=[check for check in checks if check.outcome not in (FAIL, UNDECIDED)],
        other_checks=other_checks(subjects),
        outcomes=SYMBOLS,
        files=_files(subjects),
        names_digest=names_digest(subjects),
    )


def _sections(subjects: Subjects, charted: Sequence[ChartSection]) -> dict[str, str]:
    """The sections of the page in their order: titles by key."""
    by_key = {section.key: section.title for section in charted}
    titles = {
        KNOWLEDGE: by_key.pop(KNOWLEDGE, ""),
        "defenses": "All defenses",
        **by_key,
        REJECTIONS: TITLE if all_rejected(subjects) else "",
        "table-two": "Table II" if tables_two(subjects) else "",
        "attention": "Where the model looks",
        "activation": "Activation by layer",
        "pictures": "Attacked and cleaned",
        "images": "Image by image",
        "classes": "By class",
        "checks": "Checks",
        "attacks": "Attacks as carried out",
        TREATMENTS: TREATMENTS_TITLE if what_was_done(subjects) else "",
        "provenance": "Provenance",
    }
    return {key: title for key, title in titles.items() if title}


def basis(subjects: Subjects) -> str:
    """Describe the images that all numbers refer to; every table repeats it."""
    evaluation = subjects.evaluation
    text = f"{len(evaluation.names)} images"
    if evaluation.record["parameters"].get("labels") == OWN_PREDICTIONS:
        text += f", whose labels are {OWN_PREDICTIONS}"
    if not evaluation.only_correct:
        return f"{text}, whether or not the undefended model classifies them correctly"
    left_out = f"({evaluation.left_out} left out)"
    return f"{text}, only those that the undefended model classifies correctly {left_out}"


def names_digest(subjects: Subjects) -> str:
    """The SHA-256 digest of the names of the judged images, one per line."""
    return hashlib.sha256("\n".join(subjects.evaluation.names).encode()).hexdigest()


def data_files(subjects: Subjects, charts: Sequence[Figure]) -> dict[str, str]:
    """The data of all figures and tables as CSV, by file name."""
    data = {f"{figure.key}.csv": figure.csv() for figure in charts}
    return {**data, **{name: text for name, _, text in _tables_as_csv(subjects)}}


def _tables_as_csv(subjects: Subjects) -> list[tuple[str, str, str]]:
    knowledge, done = known_and_unknown(subjects), what_was_done(subjects)
    described = [
        *([("knowledge.csv", "both attackers, by strength", knowledge)] if knowledge else []),
        ("images.csv", "image by image", tables.images(subjects)),
        ("classes.csv", "by class", classes.by_class(subjects)),
        ("confusions.csv", "most frequent confusions", classes.confusions(subjects)),
        ("attacks.csv", "actual distortion", tables.attacks(subjects)),
        *([("treatments.csv", "what was done to the images", done)] if done else []),
        *(
            (
                f"overview-{number}.csv" if number else "overview.csv",
                f"all defenses, {scenario}",
                tables.overview(subjects, scenario),
            )
            for number, scenario in enumerate(subjects.scenarios)
        ),
        *(
            (f"rejections-{scenario}.csv", f"with a detector, {scenario}", table)
            for scenario, table in all_rejected(subjects).items()
        ),
        *(
            (f"{two.scenario}.csv", f"Table II, {two.scenario}", two.table)
            for two in tables_two(subjects)
        ),
    ]
    return [
        (name, title, to_csv(table.header, [[_raw(v) for v in row] for row in table.rows]))
        for name, title, table in described
    ]


def _raw(value: tables.Value) -> Any:
    return value.order if isinstance(value.order, float) else value.text


def _files(subjects: Subjects) -> list[tuple[str, str, str]]:
    return [(name, title, _csv_url(text)) for name, title, text in _tables_as_csv(subjects)]


def _draw(subjects: Subjects, figure: Figure) -> DrawnFigure:
    drawn = svg(figure.chart, figure.key, figure.title, figure.description)
    return DrawnFigure(figure, drawn, _csv_url(figure.csv()), _table_of(subjects, figure))


def _table_of(subjects: Subjects, figure: Figure) -> tables.Table:
    """The numbers of a figure as a table: defenses by strengths, or the rows of its data."""
    for family in subjects.families:
        if figure.key == f"{figures.ACCURACY}-{family.key}" and isinstance(figure.chart, Lines):
            benign = subjects.clean_of(family.scenario)
            clean = [] if benign is None else [benign]
            columns = [*clean, *family.columns]
            heads = ["clean", *map(tables.strength_head, family.columns)][1 - len(clean) :]
            return tables.by_column(subjects, columns, heads)
    numeric = tuple(isinstance(value, int | float) for value in figure.rows[0])
    rows = [tuple(_value(value) for value in row) for row in figure.rows]
    return tables.Table(figure.header, tuple(rows), numeric)


def _value(value: Any) -> tables.Value:
    if isinstance(value, float):
        return tables.Value(f"{value:.3f}", value)
    return tables.Value(str(value), value)


def _legends(charts: Sequence[Figure]) -> dict[str, list[tuple[str, str]]]:
    """Marker and label of the series in each section; bars have their own labels."""
    legends: dict[str, list[tuple[str, str]]] = {}
    for figure in charts:
        if isinstance(figure.chart, Lines | Ratios):
            series = {line.label: line.style for line in figure.chart.series}
            marked = [(marker_svg(s), label) for label, s in series.items() if s != "faint"]
            if "faint" in series.values():
                rest = list(series.values()).count("faint")
                marked.append((marker_svg("faint"), f"{rest} other{'s' if rest > 1 else ''}"))
            legends.setdefault(figure.group, marked)
    return legends


def _csv_url(text: str) -> str:
    return (
        "data:text/csv;charset=utf-8;base64,"
        + base64.b64encode(text.encode(errors="backslashreplace")).decode()
    )
