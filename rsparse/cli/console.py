"""Output: progress, summaries and tables on stderr, results on stdout.

All text that a command prints goes through this module. What may come from a file, such as the name
of an image, is shown by ``shown``, so that no control character reaches a terminal, and never read
as rich's markup. Results in a pipe are exact.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import typer

from rsparse.errors import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from rsparse.defenses import Defense
    from rsparse.work.progress import Progress
    from rsparse.work.runs import Outcome


def stderr(width: int | None = None) -> Console:
    """A rich console on stderr, as wide as the terminal; plain text if stderr is piped."""
    from rich.console import Console

    piped = not sys.stderr.isatty()
    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=piped, width=width)


def shown(text: str) -> str:
    """A text of one or more lines as a terminal may show it: control characters are escaped."""
    return "\n".join(map(one_line, text.split("\n")))


def cell(text: str, style: str = "") -> Text:
    """A text for a cell of a table."""
    from rich.text import Text

    return Text(shown(text), style)


def say(sentence: str) -> None:
    """Print a sentence on stderr."""
    typer.echo(one_line(sentence), err=True)


def answer(result: str | Path) -> None:
    """Print the result of a command on stdout: exactly in a pipe, escaped on a terminal."""
    if sys.stdout.isatty():
        typer.echo(shown(str(result)))
    else:
        typer.echo(os.fsencode(str(result)))


def answer_line(sentence: str) -> None:
    """Print a sentence for people on stdout, broken into lines as wide as the terminal."""
    from rich.console import Console

    Console(highlight=False, emoji=False).print(cell(sentence))


def answer_json(value: Any) -> None:
    """Print a result on stdout as indented JSON, in which control characters are escaped.

    So are all characters but ASCII if stdout may not be able to encode them.
    """
    is_utf8 = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    text = json.dumps(value, indent=2, ensure_ascii=not is_utf8)
    typer.echo("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def answer_table(
    columns: Sequence[str],
    *sections: Iterable[Sequence[str | Text]],
    title: str = "",
    numbers: Container[str] = (),
    width: int | None = None,
) -> None:
    """Print a table on stdout; see ``table_of``. ``width`` is by default that of the terminal."""
    from rich.console import Console

    sheet = table_of(columns, *sections, title=title, numbers=numbers)
    Console(highlight=False, emoji=False, width=width).print(sheet)


def table_of(
    columns: Sequence[str],
    *sections: Iterable[Sequence[str | Text]],
    title: str = "",
    numbers: Container[str] = (),
) -> Table:
    """A table; the columns in ``numbers`` are aligned to the right and not wrapped.

    A line separates the sections, which are iterables of rows.
    """
    from rich import box
    from rich.table import Table

    sheet = Table(
        title=cell(title) if title else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
    )
    for column in columns:
        is_number = column in numbers
        sheet.add_column(cell(column), justify="right" if is_number else "left", no_wrap=is_number)
    for section in sections:
        for row in section:
            sheet.add_row(*(cell(text) if isinstance(text, str) else text for text in row))
        sheet.add_section()
    return sheet


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on stderr while the block runs; without a terminal, only messages."""
    from rsparse.cli.progress import RichProgress

    console = stderr()
    with RichProgress(console, is_shown=sys.stderr.isatty()) as progress:
        yield progress


_PIPED = 100_000  # columns, so that no line is broken in a pipe
_without_tables = ContextVar("_without_tables", default=False)


@contextmanager
def without_tables() -> Iterator[None]:
    """Print no tables on stderr while the block runs, since the result is printed as JSON."""
    token = _without_tables.set(True)
    try:
        yield
    finally:
        _without_tables.reset(token)


def wide_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, split into several if the terminal is too narrow for all columns.

    Each part repeats the first column. Piped text is not split.
    """
    limit = stderr().width if sys.stderr.isatty() else sys.maxsize
    # Next to its longest line, a column has a space at each side and one before the next column.
    widths = [
        max(cell(line).cell_len for text in texts for line in text.split("\n")) + 3
        for texts in zip(columns, *rows, strict=True)
    ]
    start = 1
    while start < len(columns):
        end, width = start + 1, widths[0] + widths[start]
        while end < len(columns) and width + widths[end] < limit:
            width += widths[end]
            end += 1
        chosen = [0, *range(start, end)]
        parts = [[texts[place] for place in chosen] for texts in (columns, *rows)]
        table(title if start == 1 else "", parts[0], parts[1:], max(width + 1, len(title) + 1))
        start = end


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None
) -> None:
    """Print a table on stderr; the first column is text, the others are numbers."""
    if _without_tables.get():
        return
    stderr(width).print(table_of(columns, rows, title=title, numbers=columns[1:]))


def duration(seconds: float) -> str:
    """An approximate duration: ``40 s``, ``12 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Stopwatch:
    """Seconds since its creation."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds until now."""
        return time.perf_counter() - self._start

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s"


def summary(title: str, values: Mapping[str, str]) -> None:
    """Print names and values in two columns on stderr."""
    from rich.table import Table

    sheet = Table.grid(padding=(0, 3))
    for key, value in values.items():
        sheet.add_row(cell(f"  {key}"), cell(value))
    console = stderr(None if sys.stderr.isatty() else _PIPED)
    console.print(cell(title, "bold"))
    console.print(sheet)


def count(outcome: Outcome) -> str:
    """The number of images done, of those from an earlier run, and of those that failed."""
    text = str(outcome.done + outcome.resumed)
    if outcome.resumed:
        text += f" ({outcome.resumed} from an earlier run)"
    if outcome.failed:
        text += f", {len(outcome.failed)} failed"
    return text


def finish(outcome: Outcome, as_json: bool, show_result: Callable[[], None] | None = None) -> None:
    """Report failed images, print the result, and exit with code 1 if any image failed.

    The result is JSON if requested, else what ``show_result`` prints: by default the artifact's
    path. Files that look like pictures but were not read are named too.
    """
    if outcome.passed_over.count:
        say(f"rsparse: {outcome.passed_over.sentence()}")
    for entry in outcome.failed:
        say(f"rsparse: skipped: {entry['error']}")
    if as_json:
        answer_json(outcome.as_json())
    elif show_result is not None:
        show_result()
    else:
        answer(outcome.output)
    if outcome.failed:
        raise typer.Exit(1)


def tell_of_embedded(dictionaries: Mapping[str, Path], defenses: Iterable[Defense]) -> None:
    """Say on stderr which dictionary was used without ``--dict``, if one was."""
    if "" not in dictionaries and any("" in defense.dictionaries for defense in defenses):
        from rsparse.data import embedded_dictionary

        name = embedded_dictionary().stem
        say(f"rsparse: used the dictionary {name}, which comes with rsparse; --dict names another")


def warn_of_ignored_levels(dictionaries: Mapping[str, Path], defenses: Sequence[Defense]) -> None:
    """Warn on stderr that an old dictionary's levels are ignored, and name the policy to use."""
    used = {name for defense in defenses for name in defense.dictionaries}
    read = {name: path for name, path in dictionaries.items() if name in used}
    if not read:
        return
    from rsparse.defenses.old_levels import ignored_levels

    for sentence in ignored_levels(read, defenses):
        say(f"rsparse: {sentence}")
