"""Accuracy by class and confusion tables, checked on predictions counted by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from rsparse.evaluation import by_class
from rsparse.evaluation.files import save_evaluation
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.results import Evaluation, Trial
from rsparse.store.records import EVALUATION, Record
from tests.evaluations import make_evaluation

LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 1, 1, 1, -1, 0])


def counted() -> tuple[Evaluation, Trial]:
    whole = make_evaluation(len(LABELS))
    column, defense = whole.columns[1], whole.defenses[0]
    trial = replace(whole.trial(column, defense), prediction=PREDICTED)
    trials = tuple(
        trial if (t.column, t.defense) == (column.key, defense.text) else t for t in whole.trials
    )
    return replace(whole, labels=LABELS, trials=trials), trial


def test_confusion_counts_every_pair_that_occurs() -> None:
    table = by_class.confusion(LABELS, counted()[1])
    assert [row.tolist() for row in table] == [
        [0, 0, 1, 1, 2],
        [0, 1, -1, 1, 0],
        [1, 2, 1, 1, 1],
    ]


def test_the_most_frequent_wrong_class() -> None:
    assert by_class.confused_with(PREDICTED[LABELS == 0], 0) == 1
    assert by_class.confused_with(PREDICTED[LABELS == 1], 1) == -1
    assert by_class.confused_with(np.array([3, 3]), 3) is None


def test_both_tables_are_in_the_evaluation_and_beside_it(tmp_path: Path) -> None:
    evaluation, trial = counted()
    save_evaluation(tmp_path, Record(EVALUATION, "evaluate", {}, 0), evaluation)
    column, defense = evaluation.columns[1], evaluation.defenses[0]
    own = {"attack": column.attack, "defense": defense.text}

    def rows(name: str) -> list[dict[str, str]]:
        with (tmp_path / name).open(newline="") as file:
            return [r for r in csv.DictReader(file) if own.items() <= r.items()]

    first = rows("classes.csv")[0]
    assert (first["label_name"], first["n"], first["correct"]) == ("astronaut", "3", "1")
    assert (first["most_often"], first["most_often_name"]) == ("1", "brick")
    assert [(r["label"], r["prediction"], r["images"]) for r in rows("confusion.csv")] == [
        ("0", "0", "1"), ("0", "1", "2"), ("1", "-1", "1"), ("1", "1", "1"), ("2", "0", "1"),
    ]  # fmt: skip
    number = next(
        i
        for i, t in enumerate(load_evaluation(tmp_path).trials)
        if (t.column, t.defense) == (trial.column, trial.defense)
    )
    with h5py.File(tmp_path / "evaluation.h5") as file:
        group = file["confusion"]
        mine = group["trial"][()] == number
        assert group["images"][()][mine].tolist() == [1, 2, 1, 1, 1]
        assert group["images"][()].sum() == len(LABELS) * len(evaluation.trials)


def test_accuracy_by_class_is_a_mean_over_attacks() -> None:
    evaluation, _ = counted()
    column, defense = evaluation.columns[1], evaluation.defenses[0]
    rows = by_class.accuracy_by_class(evaluation, defense, column.threat)
    assert [(row.label, row.n) for row in rows] == [(0, 3), (1, 2), (2, 1)]
    columns = [c for c in evaluation.columns if c.threat == column.threat and c.family != "clean"]
    for row in rows:
        flags = [evaluation.correct(c, defense)[row.label == LABELS] for c in columns]
        assert row.attacked == pytest.approx(np.mean(flags))
