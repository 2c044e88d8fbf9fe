"""docs/results.md on trained classifiers: the targets are judged by what was found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rsparse.evaluation.results import ADVERSARIAL_TRAINING, BLACK_BOX, GRAY_BOX
from tests.conftest import REPOSITORY
from tests.evaluations import make_evaluation

FIGURES = {
    name: {"images": 900, "epochs": 10, "kept": 9, "cpu_seconds_an_epoch": 61.2}
    for name in ("retrained", "adversarial")
}


@pytest.fixture
def rows(monkeypatch):
    """Renders an evaluation in which RegionSparse is right in some scenarios; its table rows."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import trained_text

    whole = make_evaluation(trained=True, transfer=False)

    def render(right: set[str], *, weak: bool = True) -> dict[str, list[str]]:
        columns = {column.key: column for column in whole.columns}

        def prediction(cell):
            column = columns[cell.column]
            strong = column.strength is None or column.strength >= (
                10 if column.strength_name == "eps" else 0.05
            )
            is_right = cell.defense == ours.text and column.scenario in right and (weak or strong)
            return np.where(is_right, whole.labels, -1)

        ours = next(d for d in whole.defenses if d.kind == "regionsparse")
        cells = tuple(replace(cell, prediction=prediction(cell)) for cell in whole.cells)
        lines = "\n".join(trained_text.render(replace(whole, cells=cells), FIGURES)).splitlines()
        cut = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
        return {row[0]: row for row in cut}

    return render


def of(rows: dict[str, list[str]], start: str) -> list[str]:
    return next(row for name, row in rows.items() if name.startswith(start))


def test_a_gain_counts_strong_columns_only(rows):
    found = of(rows({BLACK_BOX}, weak=False), "black-box: at least")
    assert found[1:] == ["100.0 % against 0.0 %: +100.0 points (+100.0 to +100.0)", "met"]


def test_no_gain_is_missed(rows):
    found = rows({BLACK_BOX, GRAY_BOX})
    assert of(found, "black-box: at least")[2] == "**missed**"
    assert of(found, "extended-gray-box: at least")[1].startswith("0.0 % against 100.0 %: −100.0")
    assert of(found, "clean accuracy")[1:] == ["0.0 %", "**missed**"]


def test_the_order_of_table_two(rows):
    assert of(rows({ADVERSARIAL_TRAINING}), "Table II's order")[2] == "met"
    assert of(rows({GRAY_BOX}), "Table II's order")[2] == "**missed**"


def test_the_papers_numbers_stand_beside(rows):
    found = rows({ADVERSARIAL_TRAINING})
    assert found["Normal"][1:4] == ["0 (100)", "0 (25)", "0 (22)"]
    assert found["RegionSparse + FGSM Adversarial"][2:4] == ["100 (85)", "100 (73)"]
    assert found["retrained"] == ["retrained", "purified", "900", "10", "epoch 9", "61"]


def test_parts_that_were_not_run_again_stay(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import results_text

    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    assert results_text.render({}, "", {}, page) == page
    new = results_text.render({}, "", {})
    assert new.count("Not run yet.") == len(results_text.TITLES) == page.count("<!-- part: ")
