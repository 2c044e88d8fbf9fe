"""The Markdown version of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rsparse.evaluation.checks import worst_first
from rsparse.report import tables
from rsparse.report.checklist import SYMBOLS
from rsparse.report.headline import headline
from rsparse.report.knowledge import known_and_unknown
from rsparse.report.markdown_tables import escaped, table_head, table_row
from rsparse.report.page import basis, names_digest
from rsparse.report.rejections import TITLE, about, all_rejected
from rsparse.report.subjects import Subjects
from rsparse.report.table_two import tables_two
from rsparse.report.treatments import TREATMENTS_TEXT, TREATMENTS_TITLE, what_was_done
from rsparse.report.verdict import verdicts


def render_markdown(subjects: Subjects) -> str:
    """Render the verdict, the checks and the tables. Equal inputs give equal text.

    The table by image is left out.
    """
    return "\n".join(_lines(subjects)) + "\n"


def _lines(subjects: Subjects) -> Iterator[str]:
    evaluation = subjects.evaluation
    yield f"# {escaped(evaluation.model)} under attack"
    for line in headline(subjects):
        yield from ("", f"**{line.head}**: {escaped(' '.join(line.sentences))}")
    yield from _heading("In detail", "")
    for verdict in verdicts(subjects):
        yield from ("", " ".join(escaped(sentence) for sentence in verdict.text))
    knowledge = known_and_unknown(subjects)
    if knowledge is not None:
        text = f"Top-1 in % under all attacks of the same strength, on {basis(subjects)}."
        yield from _heading("Against an attacker who knows, and one who does not", text)
        yield from _table(knowledge)
    for scenario in subjects.scenarios:
        yield from _heading(f"All defenses, {scenario}", f"Top-1 in %, on {basis(subjects)}.")
        yield from _table(tables.overview(subjects, scenario))
    for family in subjects.families:
        benign = subjects.clean_of(family.scenario)
        clean = [] if benign is None else [benign]
        heads = ["clean"] * len(clean) + [tables.strength_head(c) for c in family.columns]
        title = f"{family.title}, {family.scenario}"
        yield from _heading(title, f"Top-1 in % with Wilson's 95 % interval, on {basis(subjects)}.")
        yield from _table(tables.by_column(subjects, [*clean, *family.columns], heads))
    for scenario, table in all_rejected(subjects).items():
        text = f"Shares in %, on {basis(subjects)}. {about(subjects)}"
        yield from _heading(f"{TITLE}, {scenario}", text)
        yield from _table(table)
    for two in tables_two(subjects):
        yield from _heading(f"Table II, {two.scenario}", f"Top-1 in %, on {basis(subjects)}.")
        yield from _table(two.table)
        yield from ("", escaped(f"{two.note} {two.order}"))
    yield from _heading("Checks", "" if evaluation.checks else "No checks were run.")
    if evaluation.checks:
        yield from _rows(
            ("outcome", "check", "scenario", "defense", "evidence"),
            [
                (f"{SYMBOLS[c.outcome]} {c.outcome}", c.name, c.scenario, c.defense, c.detail)
                for c in worst_first(evaluation.checks)
            ],
            [False] * 5,
        )
    yield from _heading(
        "Attacks as carried out", f"After rounding to 8 bits, on {basis(subjects)}."
    )
    yield from _table(tables.attacks(subjects))
    done = what_was_done(subjects)
    if done is not None:
        yield from _heading(TREATMENTS_TITLE, escaped(f"{TREATMENTS_TEXT} On {basis(subjects)}."))
        yield from _table(done)
    yield from _heading("Provenance", f"Made by {evaluation.record['generator']}.")
    yield f"SHA-256 of the image names, one per line: `{names_digest(subjects)}`"


def _heading(title: str, text: str) -> Iterator[str]:
    yield from ("", f"## {escaped(title)}", "")
    if text:
        yield from (text, "")


def _table(table: tables.Table) -> Iterator[str]:
    """The lines of one table."""
    rows = [[_value(value) for value in row] for row in table.rows]
    yield from _rows(table.header, rows, table.numeric)


def _rows(
    header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]
) -> Iterator[str]:
    yield table_head([escaped(cell) for cell in header], numeric)
    for row in rows:
        yield table_row([escaped(cell) for cell in row])


def _value(value: tables.Value) -> str:
    text = f"{value.sign} {value.text}" if value.sign else value.text
    return f"{text} ({value.note})" if value.note else text
