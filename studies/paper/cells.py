"""The cells of the paper's Table II beside what was measured, each with a mark.

    python -m studies.paper.cells

This writes ``docs/results/paper/cells.csv`` from the committed tables of MobileNet-v2 and
Inception-v3; ``make paper`` writes the cells of its own run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rsparse.core.metrics import share_of
from rsparse.evaluation.estimates import percent
from rsparse.evaluation.names import ADVERSARIAL_TRAINING, GRAY_BOX
from studies.comparisons import paper_table
from studies.pages import DOCS
from studies.plans import text_of
from studies.tables import Row, read_rows, write_rows

NEAR = 5.0  # points within which a figure of the paper counts as reached
REACHED, NOT_REACHED, BOUNDED, OPEN = "reached", "not reached", "bounded", "open"
NORMAL, OURS = "Normal", "RegionSparse"  # rows of Table II
ROWS = {  # of Table II: the scenario, and whether the paper's form is in front
    NORMAL: (GRAY_BOX, False),
    "FGSM Adversarial": (ADVERSARIAL_TRAINING, False),
    OURS: (GRAY_BOX, True),
    "RegionSparse + FGSM Adversarial": (ADVERSARIAL_TRAINING, True),
}
FORM = "policy:paper"
SEARCH = "search"  # instead of a classifier: the paper's form as the search judged it


class Measured(NamedTuple):
    """A row of Table II as measured: top-1 in per cent by column, on so many photographs."""

    shares: Mapping[str, str]
    photographs: int


def measured(accuracy: Sequence[Row], photographs: int, form: str = "") -> dict[str, Measured]:
    """The rows of Table II that a table ``accuracy`` has; ``form`` is behind ``RegionSparse``."""
    form = form or text_of(FORM)
    found = {}
    for name, (scenario, is_behind) in ROWS.items():
        wanted = scenario, form if is_behind else "none"
        for row in accuracy:
            if (row["scenario"], row["defense"]) == wanted:
                found[name] = Measured(row, photographs)
    return found


def cells(found: Mapping[str, Measured], searched: Sequence[Row] = ()) -> Iterator[Row]:
    """All cells of Table II.

    Parameters
    ----------
    found : mapping of str to Measured
        By the name of the row.
    searched : sequence of Row
        The table ``search-chosen`` of a search with the same classifier, if there was one.

    Yields
    ------
    Row
        ``mark`` is one of

        - reached: at most 5 points below the paper's figure; in the row "Normal", which no defense
          improves, at most 5 points from it;
        - bounded: not reached, and even the intervals of this figure and of the best setting of the
          search, chosen for this column, end more than 5 points below the paper's figure;
        - not reached;
        - open: not measured.
    """
    best = {row["column"]: row for row in searched}
    for name, paper in paper_table().items():
        for attack in (key for key in paper if key != "row"):
            row = {"row": name, "attack": attack, "paper": paper[attack]}
            known = found.get(name)
            if known is None or not known.shares.get(attack):
                yield row | {"ours": "", "low": "", "high": "", "mark": OPEN}
                continue
            share, n = float(known.shares[attack]), known.photographs
            estimate = share_of(round(share * n / 100), n)
            mark = mark_of(float(paper[attack]), share, is_defended=name != NORMAL)
            searched_here = best.get(attack) if name == OURS else None
            if mark == NOT_REACHED and searched_here:
                highest = max(100 * estimate.high, float(searched_here["high"]))
                mark = BOUNDED if highest < float(paper[attack]) - NEAR else mark
            yield row | {
                "ours": f"{share:g}",
                "low": percent(estimate.low),
                "high": percent(estimate.high),
                "mark": mark,
                **_best(searched_here),
            }


def mark_of(paper: float, ours: float, is_defended: bool) -> str:
    """Whether a figure in per cent reaches the paper's."""
    below = paper - ours if is_defended else abs(paper - ours)
    return REACHED if below <= NEAR else NOT_REACHED


def counts(rows: Iterable[Row]) -> Mapping[str, int]:
    """How many cells have each mark."""
    marks = [row["mark"] for row in rows]
    return {mark: marks.count(mark) for mark in (REACHED, NOT_REACHED, BOUNDED, OPEN)}


def committed(docs: Path) -> Iterator[Row]:
    """The cells of both classifiers and the search's own, from the tables in docs/results/."""
    results = docs / "results"

    def of(part: str) -> tuple[list[Row], int]:
        about = {row["key"]: row["value"] for row in read_rows(results / part / "about.csv")}
        return read_rows(results / part / "accuracy.csv"), int(about["photographs"])

    searched = _rows(results / "paper" / "search-chosen.csv")
    about = {row["key"]: row["value"] for row in _rows(results / "paper" / "search-about.csv")}
    mobilenet = measured(*of("retrained-mobilenet-v2"))
    if searched:
        form = {row["column"]: row["form"] for row in searched}
        mobilenet[OURS] = Measured(form, int(about["judged_on"]))
        for row in cells({OURS: mobilenet[OURS]}, searched):
            if row["row"] == OURS:
                yield {"model": SEARCH} | row
    inception = measured(*of("inception-v3"))
    for found, part in ((inception, "paper/table-two"), (mobilenet, "paper/table-two-trained")):
        if (results / part / "accuracy.csv").exists():
            found |= measured(*of(part))
    for model, found, known in (
        ("inception-v3", inception, ()),
        ("mobilenet-v2", mobilenet, searched),
    ):
        yield from ({"model": model} | row for row in cells(found, known))


def _rows(path: Path) -> list[Row]:
    return read_rows(path) if path.exists() else []


def _best(searched: Row | None) -> Row:
    if searched is None:
        return {}
    return {key: searched[key] for key in ("best", "defense", "dictionary")} | {
        "best_low": searched["low"],
        "best_high": searched["high"],
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    write_rows(DOCS / "results" / "paper" / "cells.csv", list(committed(DOCS)))


if __name__ == "__main__":
    main()
