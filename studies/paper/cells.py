"""The cells of the paper's Table II beside what was measured, each with a mark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rsparse.evaluation import statistics
from rsparse.evaluation.estimates import percent
from rsparse.evaluation.results import (
    ADVERSARIAL_TRAINING,
    CLEAN,
    GRAY_BOX,
    Column,
    Evaluation,
    JudgedDefense,
)
from studies.comparisons import paper_table
from studies.tables import Row

NEAR = 5.0  # points within which a figure of the paper counts as reached
REACHED, NOT_REACHED, BOUNDED, OPEN = "reached", "not reached", "bounded", "open"
NORMAL, OURS = "Normal", "RegionSparse"  # rows of Table II
ROWS = {  # of Table II: the scenario, and whether the paper's form is in front
    NORMAL: (GRAY_BOX, False),
    "FGSM Adversarial": (ADVERSARIAL_TRAINING, False),
    OURS: (GRAY_BOX, True),
    "RegionSparse + FGSM Adversarial": (ADVERSARIAL_TRAINING, True),
}


def cells(evaluation: Evaluation, form: str, searched: Sequence[Row] = ()) -> Iterator[Row]:
    """All cells of Table II.

    Parameters
    ----------
    evaluation : Evaluation
    form : str
        The short name of the paper's form.
    searched : sequence of Row
        The table ``search-chosen`` of a search with the same classifier, if there was one.

    Yields
    ------
    Row
        ``mark`` is one of

        - reached: at most 5 points below the paper's figure; in the row "Normal", which no defense
          improves, at most 5 points from it;
        - bounded: not reached, and even the interval of the best setting of the search, chosen for
          this column, ends more than 5 points below the paper's figure;
        - not reached;
        - open: not measured.
    """
    best = {row["column"]: row for row in searched}
    for name, paper in paper_table().items():
        scenario, is_behind = ROWS[name]
        found = _columns(evaluation, scenario)
        for attack in (key for key in paper if key != "row"):
            column = found.get(attack)
            row = {"row": name, "attack": attack, "paper": paper[attack]}
            if column is None:
                yield row | {"ours": "", "low": "", "high": "", "mark": OPEN}
                continue
            defense = _defense(evaluation, form if is_behind else "none")
            estimate = statistics.accuracy(evaluation, column, defense)
            target, ours = float(paper[attack]), 100 * estimate.value
            mark = mark_of(target, ours, is_defended=name != NORMAL)
            searched_here = best.get(attack) if name == OURS else None
            if mark == NOT_REACHED and searched_here and is_bounded(target, searched_here):
                mark = BOUNDED
            yield row | {
                "ours": percent(estimate.value),
                "low": percent(estimate.low),
                "high": percent(estimate.high),
                "mark": mark,
                **_best(searched_here),
            }


def mark_of(paper: float, ours: float, is_defended: bool) -> str:
    """Whether a figure in per cent reaches the paper's."""
    below = paper - ours if is_defended else abs(paper - ours)
    return REACHED if below <= NEAR else NOT_REACHED


def is_bounded(paper: float, searched: Row) -> bool:
    """Whether the interval of the best setting of a search ends below what counts as reached."""
    return float(searched["high"]) < paper - NEAR


def counts(rows: Sequence[Row]) -> Mapping[str, int]:
    """How many cells have each mark."""
    marks = [row["mark"] for row in rows]
    return {mark: marks.count(mark) for mark in (REACHED, NOT_REACHED, BOUNDED, OPEN)}


def _best(searched: Row | None) -> Row:
    if searched is None:
        return {}
    return {key: searched[key] for key in ("best", "defense", "dictionary")} | {
        "best_low": searched["low"],
        "best_high": searched["high"],
    }


def _columns(evaluation: Evaluation, scenario: str) -> dict[str, Column]:
    """The columns of a scenario by attack, and the clean one of its judged model."""
    own = {c.attack: c for c in evaluation.columns if c.scenario == scenario and c.attack != CLEAN}
    if not own:
        return {}
    judged = next(iter(own.values())).judged
    return {CLEAN: statistics.clean_column(evaluation, judged)} | own


def _defense(evaluation: Evaluation, text: str) -> JudgedDefense:
    return next(defense for defense in evaluation.defenses if defense.text == text)
