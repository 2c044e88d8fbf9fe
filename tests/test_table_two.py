"""The paper's Table II for an evaluation: its rows, and the columns in which its order holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rsparse.evaluation.names import ADVERSARIAL_TRAINING, ADVERSARIAL_TRAINING_BLACK_BOX, GRAY_BOX
from rsparse.report.markdown import render_markdown
from rsparse.report.page import data_files, render_page
from rsparse.report.pictures import Gallery
from rsparse.report.sections import figures_of
from rsparse.report.subjects import find_subjects
from rsparse.report.table_two import tables_two
from tests.evaluations import make_evaluation


@pytest.fixture(scope="module")
def subjects():
    return find_subjects(make_evaluation(trained=True))


@pytest.fixture(scope="module")
def page(subjects) -> str:
    return render_page(subjects, figures_of(subjects), Gallery())


@pytest.mark.parametrize(
    ("scenario", "attacked"),
    [
        (ADVERSARIAL_TRAINING, "Each model is attacked directly"),
        (ADVERSARIAL_TRAINING_BLACK_BOX, "All attacks are made on mobilenet-v2"),
    ],
)
def test_table_two_has_the_papers_rows_and_order(subjects, page, scenario, attacked):
    (two,) = (two for two in tables_two(subjects) if two.scenario == scenario)
    table = two.table
    assert [row[0].text for row in table.rows] == [
        "Normal", "FGSM Adversarial", "RegionSparse", "RegionSparse + FGSM Adversarial",
    ]  # fmt: skip
    assert table.header[:5] == ("", "clean", "fgsm eps 2", "fgsm eps 14", "fgsm eps 22")
    assert len(table.header) == 2 + 3 + 3 + 5 + 5  # the made-up values of d are not in the paper
    evaluation, ours = subjects.evaluation, subjects.judged
    column = next(c for c in subjects.columns(scenario) if c.attack == "fgsm-eps=14")
    assert table.rows[3][3].order == pytest.approx(evaluation.correct(column, ours).mean())
    assert f"{scenario}.csv" in data_files(subjects, [])
    markdown = render_markdown(subjects).split(f"## Table II, {scenario}\n")[1].split("\n## ")[0]
    assert "RegionSparse + FGSM Adversarial" in markdown
    assert attacked in markdown
    assert attacked in page


def orders(evaluation):
    """The order sentences of both tables; attacks on the trained model come first."""
    return [two.order for two in tables_two(find_subjects(evaluation))]


def test_the_order_is_checked_in_every_column(subjects):
    """The order is violated where the trained model with a defense gets all images wrong."""
    evaluation = subjects.evaluation
    ours = subjects.judged.text
    both = {column.key for column in subjects.columns(ADVERSARIAL_TRAINING)}

    def with_right(wrong: str) -> str:
        def prediction(trial):
            right = trial.defense == ours and trial.column in both
            right = right and trial.column[-1] != wrong
            return np.where(right, evaluation.labels, -1)

        trials = tuple(replace(trial, prediction=prediction(trial)) for trial in evaluation.trials)
        return orders(replace(evaluation, trials=trials))[0]

    assert with_right("").endswith("holds in 16 of 16 attacked columns.")
    # all four are wrong in that column, so the order holds with equality
    assert with_right("bim-eps=14").endswith("holds in 16 of 16 attacked columns.")
    trials = tuple(
        replace(
            trial,
            prediction=np.where(trial.defense == "none", evaluation.labels, -1),
        )
        for trial in evaluation.trials
    )
    broken, _ = orders(replace(evaluation, trials=trials))
    assert "holds in 0 of 16 attacked columns; not in fgsm eps 2, fgsm eps 14" in broken
    assert "p < 0.05) in fgsm eps 2, fgsm eps 14" in broken


@pytest.mark.parametrize(("n", "columns"), [(5, "none of these"), (6, "bim eps 14")])
def test_an_order_violated_by_chance_is_reported(subjects, n, columns):
    """Only RegionSparse gets ``n`` images right: p = 2 / 2ⁿ, which is below 0.05 for n ≥ 6."""
    evaluation, ours = subjects.evaluation, subjects.judged.text
    (key,) = (c.key for c in subjects.columns(GRAY_BOX) if c.attack == "bim-eps=14")

    def prediction(trial):
        right = (trial.column, trial.defense) == (key, ours)
        return np.where(right & (np.arange(len(evaluation.labels)) < n), evaluation.labels, -1)

    trials = tuple(replace(trial, prediction=prediction(trial)) for trial in evaluation.trials)
    for sentence in orders(replace(evaluation, trials=trials)):
        assert "holds in 15 of 16 attacked columns; not in bim eps 14." in sentence
        assert sentence.endswith(f"is significant (McNemar's p < 0.05) in {columns}.")


def test_an_order_that_only_undefended_rows_violate_is_reported(subjects):
    """Only the undefended trained model is wrong, and only under one attack."""
    evaluation = subjects.evaluation
    trained = {
        c.key for c in evaluation.columns if c.attack == "bim-eps=14" and c.scenario != GRAY_BOX
    }

    def prediction(trial):
        wrong = trial.defense == "none" and trial.column in trained
        return np.where(wrong, -1, evaluation.labels)

    trials = tuple(replace(trial, prediction=prediction(trial)) for trial in evaluation.trials)
    for sentence in orders(replace(evaluation, trials=trials)):
        assert "in 15 of 16 attacked columns; not in bim eps 14 (only between the rows" in sentence


def test_no_table_two_without_an_adversarially_trained_model():
    subjects = find_subjects(make_evaluation(transfer=False))
    assert tables_two(subjects) == []
    assert "table-two" not in render_page(subjects, figures_of(subjects), Gallery())
