"""Output: progress, summaries and tables on stderr, results on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from rsparse.errors import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from rsparse.defenses import Defense
    from rsparse.work.progress import Progress
    from rsparse.work.runs import Outcome


def stderr(width: int | None = None) -> Console:
    """A rich console on stderr, as wide as the terminal; plain text if stderr is piped."""
    from rich.console import Console

    piped = not sys.stderr.isatty()
    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=piped, width=width)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on stderr while the block runs; without a terminal, only messages."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=stderr(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )

    class RichProgress:
        def __init__(self) -> None:
            self.task: TaskID | None = None

        def start(self, task: str, total: int, done: int = 0) -> None:
            if self.task is not None:
                bars.remove_task(self.task)
            self.task = bars.add_task(task, total=total, completed=done)

        def advance(self, items: int = 1) -> None:
            if self.task is not None:
                bars.advance(self.task, items)

        def describe(self, task: str) -> None:
            if self.task is not None:
                bars.update(self.task, description=task)

        def message(self, sentence: str) -> None:
            bars.console.print(sentence, markup=False)

    with bars:
        yield RichProgress()


def wide_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, split into several if the terminal is too narrow for all columns.

    Each part repeats the first column. Piped text is not split.
    """
    limit = stderr().width if sys.stderr.isatty() else sys.maxsize
    widths = [
        max(len(line) for text in texts for line in text.split("\n")) + 2
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
        table(title if start == 1 else "", parts[0], parts[1:], max(width + 2, len(title) + 1))
        start = end


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None
) -> None:
    """Print a table on stderr; the first column is text, the others are numbers."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    sheet = Table(
        title=escape(title), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold"
    )
    for number, column in enumerate(columns):
        sheet.add_column(
            escape(column), justify="left" if number == 0 else "right", no_wrap=number > 0
        )
    for row in rows:
        sheet.add_row(*map(escape, row))
    stderr(width).print(sheet)


def duration(seconds: float) -> str:
    """An approximate duration: ``40 s``, ``12 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Stopwatch:
    """Seconds since its creation."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def __str__(self) -> str:
        return f"{time.perf_counter() - self._start:.1f} s"


def summary(title: str, values: Mapping[str, str]) -> None:
    """Print names and values in two columns on stderr."""
    from rich.markup import escape
    from rich.table import Table

    sheet = Table.grid(padding=(0, 3))
    for key, value in values.items():
        sheet.add_row(f"  {escape(key)}", escape(value))
    console = stderr()
    console.print(f"[bold]{escape(title)}[/bold]")
    console.print(sheet)


def count(outcome: Outcome) -> str:
    """The number of images done, of those from an earlier run, and of those that failed."""
    text = str(outcome.done + outcome.resumed)
    if outcome.resumed:
        text += f" ({outcome.resumed} from an earlier run)"
    if outcome.failed:
        text += f", {len(outcome.failed)} failed"
    return text


def finish(outcome: Outcome, as_json: bool, result: str | None = None) -> None:
    """Report failed images, print the result, and exit with code 1 if any image failed.

    The result is JSON if requested, else ``result``, which defaults to the artifact's path.
    """
    for entry in outcome.failed:
        typer.echo(f"rsparse: skipped: {one_line(entry['error'])}", err=True)
    typer.echo(to_json(outcome.as_json()) if as_json else result or str(outcome.output))
    if outcome.failed:
        raise typer.Exit(1)


def warn_of_ignored_levels(dictionaries: Mapping[str, Path], defenses: Sequence[Defense]) -> None:
    """Warn on stderr that an old dictionary's levels are ignored, and name the policy to use."""
    used = {name for defense in defenses for name in defense.dictionaries}
    read = {name: path for name, path in dictionaries.items() if name in used}
    if not read:
        return
    from rsparse.defenses.old_levels import ignored_levels

    for sentence in ignored_levels(read, defenses):
        typer.echo(f"rsparse: {sentence}", err=True)


def to_json(value: Any) -> str:
    """Indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)
