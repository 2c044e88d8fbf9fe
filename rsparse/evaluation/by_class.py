"""The results of an evaluation by class: accuracy of each class, and which classes are confused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse.evaluation.estimates import per_image
from rsparse.evaluation.results import CLEAN, Column, Evaluation, JudgedDefense, ThreatKey, Trial
from rsparse.evaluation.statistics import attacked_columns, share


class Confusion(NamedTuple):
    """The entries of a confusion table that are not 0, sorted by label and prediction.

    Attributes
    ----------
    label, prediction, images : int64 arrays of shape (e,)
        ``images`` images of the class ``label`` are classified as ``prediction``; −1 stands for
        images that could not be classified.
    """

    label: NDArray[np.int64]
    prediction: NDArray[np.int64]
    images: NDArray[np.int64]


def confusion(labels: NDArray[np.int64], trial: Trial) -> Confusion:
    """Count the predictions of a trial by class; ``labels`` (n,) are the right classes."""
    pairs = np.stack([labels, trial.prediction], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return Confusion(found[:, 0], found[:, 1], counts.astype(np.int64))


def tried(evaluation: Evaluation) -> Iterator[tuple[Column, JudgedDefense, Trial]]:
    """All trials with their column and defense, in the order of the plan."""
    for column in evaluation.columns:
        for defense in evaluation.defenses:
            trial = evaluation.trial(column, defense)
            if trial is not None:
                yield column, defense, trial


def confusion_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """The rows of ``confusion.csv``: one for each trial, class and prediction that occurs."""
    for column, defense, trial in tried(evaluation):
        for label, prediction, count in zip(*confusion(evaluation.labels, trial), strict=True):
            yield {
                **_place(column, defense),
                "label": int(label),
                "label_name": _name(evaluation, label),
                "prediction": int(prediction),
                "prediction_name": _name(evaluation, prediction),
                "images": int(count),
            }


def class_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """The rows of ``classes.csv``: the accuracy of each class in each trial."""
    classes = np.unique(evaluation.labels)
    for column, defense, trial in tried(evaluation):
        for label in classes:
            predictions = trial.prediction[evaluation.labels == label]
            estimate = share(predictions == label)
            wrong = confused_with(predictions, int(label))
            yield {
                **_place(column, defense),
                "label": int(label),
                "label_name": _name(evaluation, label),
                "n": estimate.n,
                "correct": estimate.correct,
                "top1": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "most_often": wrong,
                "most_often_name": "" if wrong is None else _name(evaluation, wrong),
            }


class ClassAccuracy(NamedTuple):
    """The accuracy of one class behind one defense: without an attack, and its mean under attack.

    Both are shares of the ``n`` images of the class; NaN if there is no such trial.
    """

    label: int
    name: str
    n: int
    clean: float
    attacked: float


def accuracy_by_class(
    evaluation: Evaluation, defense: JudgedDefense, threat: ThreatKey
) -> list[ClassAccuracy]:
    """The accuracy of every class of the judged images, in the order of the classes."""
    columns = attacked_columns(evaluation, threat=threat)
    under_attack = per_image(evaluation, defense, columns)
    clean = [c for c in evaluation.columns if c.family == CLEAN and c.judged == threat[2]]
    before = per_image(evaluation, defense, clean)
    rows = []
    for label in np.unique(evaluation.labels):
        own = evaluation.labels == label
        rows.append(
            ClassAccuracy(
                int(label),
                _name(evaluation, label),
                int(own.sum()),
                float(before[own].mean()),
                float(under_attack[own].mean()),
            )
        )
    return rows


def confused_with(predictions: NDArray[np.int64], label: int) -> int | None:
    """The most frequent wrong prediction; ties go to the smallest class. None if all are right."""
    wrong, counts = np.unique(predictions[predictions != label], return_counts=True)
    return int(wrong[counts.argmax()]) if len(wrong) else None


def _place(column: Column, defense: JudgedDefense) -> dict[str, str]:
    return {
        "scenario": column.scenario,
        "source": column.source,
        "judged": column.judged,
        "through": column.through,
        "attack": column.attack,
        "defense": defense.text,
    }


def _name(evaluation: Evaluation, index: int) -> str:
    return evaluation.class_names[index] if index >= 0 else ""
