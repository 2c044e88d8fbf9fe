"""Markdown tables: those of a report, and of what the scripts beside the package print."""

from __future__ import annotations

from collections.abc import Sequence

from rsparse.errors import one_line


def table_text(
    header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool] = ()
) -> str:
    """A whole table, with a line break at its end.

    Parameters
    ----------
    header : sequence of str
    rows : sequence of rows
        Each of as many cells as the header; a cell may hold Markdown.
    numeric : sequence of bool
        Which columns stand at the right; by default none.
    """
    return "\n".join([table_head(header, numeric), *map(table_row, rows)]) + "\n"


def table_head(header: Sequence[str], numeric: Sequence[bool] = ()) -> str:
    """The two lines that a table starts with, without a line break at the end."""
    sides = ["--:" if right else "---" for right in (numeric or [False] * len(header))]
    return f"{table_row(header)}\n|{'|'.join(sides)}|"


def table_row(cells: Sequence[str]) -> str:
    """The line of one row."""
    return "| " + " | ".join(cells) + " |"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, and that leaves a table's rows alone."""
    safe = "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in one_line(text))
    return safe.replace("&", "&amp;")
