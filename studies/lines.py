"""Lines of Markdown tables, for what the benchmarks write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rsparse.evaluation.results import Column

FAMILIES = {"fgsm": "FGSM", "bim": "BIM", "mi-fgsm": "MI-FGSM", "cw-l2": "CW-L2"}


def head(names: Sequence[str]) -> Iterator[str]:
    """The two lines at the top of a table."""
    yield row(names)
    yield "|" + "---|" * len(names)


def row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(cells) + " |"


def short(column: Column) -> str:
    """``FGSM 10``."""
    strength = "" if column.strength is None else f" {column.strength:g}"
    return FAMILIES.get(column.family, column.family) + strength


def verdict(met: bool) -> str:
    """Whether a target was met."""
    return "met" if met else "**missed**"
