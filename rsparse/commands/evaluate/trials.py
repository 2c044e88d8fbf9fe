"""Trials of an evaluation from the predictions in their files."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rsparse.evaluation.checks.evidence import Classes
from rsparse.evaluation.results import Column, Trial
from rsparse.evaluation.treated import Treated
from rsparse.store.predictions import Prediction


def classes_by_name(names: Sequence[str], rows: Sequence[Prediction]) -> Classes:
    """The predicted classes in the order of ``names``; −1 for a name without a row."""
    by_name = {row.name: row.classes[0] for row in rows}
    return np.array([by_name.get(name, -1) for name in names], np.int64)


def trial_of(
    column: Column,
    defense: str,
    names: Sequence[str],
    rows: Sequence[Prediction],
    texts: tuple[str, ...],
) -> Trial:
    """The trial of a column behind a defense, by its short name; see ``_treated``."""
    by_name = {row.name: row.probabilities[0] for row in rows}
    probabilities = np.array([by_name.get(name, 0.0) for name in names], np.float32)
    classes, treated = classes_by_name(names, rows), _treated(names, rows, texts)
    return Trial(column.key, defense, classes, probabilities, treated)


def _treated(
    names: Sequence[str], rows: Sequence[Prediction], texts: tuple[str, ...]
) -> Treated | None:
    """What was done to each image; ``texts`` are those of the whole evaluation."""
    if any(row.done is None for row in rows):
        return None
    places = {text: place for place, text in enumerate(texts)}
    by_name = {row.name: (places[row.done or ""], row.psnr) for row in rows}
    told = [by_name.get(name, (-1, math.nan)) for name in names]
    done, psnr = [place for place, _ in told], [psnr for _, psnr in told]
    return Treated(texts, np.array(done, np.int64), np.array(psnr, np.float32))
