"""Markdown tables, for reports and for the scripts in ``benchmarks/`` and ``studies/``."""

from __future__ import annotations

from collections.abc import Sequence

from rsparse.errors import one_line


def table_text(
    header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool] = ()
) -> str:
    """A whole table, with a final line break.

    Parameters
    ----------
    header : sequence of str
    rows : sequence of rows
        Each row has as many cells as the header. Cells may contain Markdown.
    numeric : sequence of bool
        Which columns are right-aligned; by default none.
    """
    return "\n".join([table_head(header, numeric), *map(table_row, rows)]) + "\n"


def table_head(header: Sequence[str], numeric: Sequence[bool] = ()) -> str:
    """The first two lines of a table, without a final line break."""
    sides = ["--:" if right else "---" for right in (numeric or [False] * len(header))]
    return f"{table_row(header)}\n|{'|'.join(sides)}|"


def table_row(cells: Sequence[str]) -> str:
    """One row of a table."""
    return "| " + " | ".join(cells) + " |"


def escaped(text: str) -> str:
    """Escape text, so that Markdown shows it literally and it fits into a table cell."""
    safe = "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in one_line(text))
    return safe.replace("&", "&amp;")
