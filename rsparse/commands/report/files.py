"""The files of a report: their places and their contents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rsparse.errors import InputError
from rsparse.evaluation.requirements import Outcome
from rsparse.pictures.charts import png
from rsparse.report.figures import Figure
from rsparse.report.junit import render_junit
from rsparse.report.markdown import render_markdown
from rsparse.report.page import data_files, render_page
from rsparse.report.pictures import Gallery
from rsparse.report.subjects import Subjects

FORMATS = ("html", "md", "png", "csv", "junit")
PAGE, TABLES, DATA, FIGURES, CASES = "index.html", "report.md", "data", "figures", "junit.xml"
PLACES = {"html": PAGE, "md": TABLES, "png": FIGURES, "csv": DATA, "junit": CASES}


def checked_formats(formats: Sequence[str]) -> list[str]:
    """The formats in the order of ``FORMATS``; an unknown one is refused."""
    for name in formats:
        if name not in FORMATS:
            raise InputError(f"format: expected one of {', '.join(FORMATS)}, got {name!r}")
    return [name for name in FORMATS if name in formats]


def is_report_file(file: Path) -> bool:
    """Whether a report may contain a file with this relative path."""
    if file.parent == Path():
        return file.name in (PAGE, TABLES, CASES)
    return (str(file.parent), file.suffix) in ((DATA, ".csv"), (FIGURES, ".png"))


def files_of(
    formats: Sequence[str],
    subjects: Subjects,
    figures: Sequence[Figure],
    gallery: Gallery,
    outcomes: Sequence[Outcome],
) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of a report."""
    if "html" in formats:
        yield PAGE, render_page(subjects, figures, gallery).encode(errors="backslashreplace")
    if "md" in formats:
        yield TABLES, render_markdown(subjects).encode(errors="backslashreplace")
    if "html" in formats or "csv" in formats:
        for name, text in data_files(subjects, figures).items():
            yield f"{DATA}/{name}", text.encode(errors="backslashreplace")
    if "junit" in formats:
        yield CASES, render_junit(outcomes, subjects.evaluation.checks).encode()
    if "png" in formats:
        for figure in figures:
            yield f"{FIGURES}/{figure.key}.png", png(figure.chart, figure.title)
