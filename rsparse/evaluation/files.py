"""Save an evaluation: ``evaluation.h5`` with every prediction, and CSV files for people.

With n images, m columns, k defenses and t trials, ``evaluation.h5`` contains its record and:

============================  =================  ===============================================
dataset                       shape, dtype       meaning
============================  =================  ===============================================
``name``, ``label``           (n,) UTF-8, int64  the judged images and their correct classes
``class_name``                (c,) UTF-8         names of the classes
``column/scenario``, …        (m,) UTF-8         ``scenario``, ``source``, ``judged``,
                                                 ``through``
``column/attack/text``, …     (m,) UTF-8         ``text``, ``family``, ``strength_name``
``column/attack/strength``    (m,) float64       NaN if there is none
``column/attack/parameters``  (m,) UTF-8         JSON
``column/change/linf``, …     (m, n) float64     the actual change: ``linf``, ``l2``, ``d``
``column/change/found``       (m, n) uint8       0 where an attack found no change
``column/change/target``      (m, n) int64       class that the attack was to reach; −1 for an
                                                 image that was not attacked, −2 for an attack
                                                 without a target
``column/rejected``           (m, n) uint8       1 where the detector rejects an image; missing
                                                 without a detector
``defense/text``, …           (k,) UTF-8         ``text``, ``kind``, ``parameters`` (JSON)
``trial/column``              (t,) int64         index of the column, from 0
``trial/defense``             (t,) int64         index of the defense, from 0
``trial/prediction``          (t, n) int64       −1 if an image was not classified
``trial/probability``         (t, n) float32     probability of the predicted class
``trial/done``                (t, n) int64       index of what was done to the image, −1 if an
                                                 image was not classified
``trial/psnr``                (t, n) float32     change by the defense, in dB; infinite for an
                                                 unchanged image, NaN for one not classified
``done``                      (q,) UTF-8         what was done: ``rule 2: jpeg:quality=75``
``confusion/trial``           (e,) int64         index of the trial, from 0
``confusion/label``, …        (e,) int64         ``label``, ``prediction``, ``images``: how many
                                                 images of a class were classified as what
``check/name``, …             (…,) UTF-8         ``name``, ``scenario``, ``defense``,
                                                 ``outcome``, ``detail``
============================  =================  ===============================================

The root has the attributes ``model``, ``only_correct`` and ``left_out``. Equal evaluations give
equal bytes. Times are in ``timing.json`` and in the columns ``seconds`` of the CSV files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.evaluation import by_class, statistics
from rsparse.evaluation.results import Check, Column, Evaluation
from rsparse.evaluation.treated import Treated
from rsparse.store.csv_text import csv_line, name_cell, text_cell
from rsparse.store.hdf5 import create_hdf5, utf8
from rsparse.store.records import Record
from rsparse.store.together import appear_together

EVALUATION_FILE = "evaluation.h5"
TABLES = ("results.csv", "defenses.csv", "images.csv", "classes.csv", "confusion.csv", "checks.csv")
ADAPTIVE_TABLE = "adaptive.csv"
"""Written by ``rsparse evaluate`` from what the attacks through the defenses note."""

COLUMN_TEXTS = ("scenario", "source", "judged", "through")
ATTACK_TEXTS = ("family", "strength_name")
CHANGES = ("linf", "l2", "d")
UNTARGETED = -2
CHECK_TEXTS = tuple(field.name for field in fields(Check))


def save_evaluation(folder: Path, record: Record, evaluation: Evaluation) -> Path:
    """Write ``evaluation.h5`` and the CSV files into ``folder``.

    ``results.csv`` has a row for each trial, ``defenses.csv`` for each defense and scenario,
    ``images.csv`` for each image and trial, ``classes.csv`` for each class and trial,
    ``confusion.csv`` for each class, prediction and trial, and ``checks.csv`` for each check.

    Parameters
    ----------
    folder : Path
    record : Record
        The record to write, instead of ``evaluation.record``.
    evaluation : Evaluation

    Returns
    -------
    Path
        The path of ``evaluation.h5``, which is written last.
    """
    path = folder / EVALUATION_FILE
    with appear_together(path) as members:
        for name, text in csv_tables(evaluation).items():
            members.write(folder / name, text.encode(errors="backslashreplace"))
        with create_hdf5(path, record, members.create) as file:
            _write_evaluation(file, evaluation)
    return path


def remove_evaluation(folder: Path) -> None:
    """Remove ``evaluation.h5`` before its parts are made again, and then its CSV files."""
    for name in (EVALUATION_FILE, *TABLES, ADAPTIVE_TABLE):
        (folder / name).unlink(missing_ok=True)


def _write_evaluation(file: Any, evaluation: Evaluation) -> None:
    file.attrs["model"] = utf8(evaluation.model)
    file.attrs["only_correct"] = evaluation.only_correct
    file.attrs["left_out"] = evaluation.left_out
    file["name"] = utf8(list(evaluation.names))
    file["label"] = evaluation.labels.astype(np.int64)
    file["class_name"] = utf8(list(evaluation.class_names))
    _write_columns(file.create_group("column"), evaluation.columns)
    _write_texts(file.create_group("defense"), ("text", "kind"), evaluation.defenses)
    file["defense"]["parameters"] = utf8([_json(d.parameters) for d in evaluation.defenses])
    _write_texts(file.create_group("check"), CHECK_TEXTS, evaluation.checks)
    _write_trials(file.create_group("trial"), evaluation)
    _write_confusion(file.create_group("confusion"), evaluation)


def _write_columns(group: Any, columns: Sequence[Column]) -> None:
    _write_texts(group, COLUMN_TEXTS, columns)
    attack = group.create_group("attack")
    attack["text"] = utf8([column.attack for column in columns])
    _write_texts(attack, ATTACK_TEXTS, columns)
    strengths = [np.nan if c.strength is None else c.strength for c in columns]
    attack["strength"] = np.array(strengths, np.float64)
    attack["parameters"] = utf8([_json(column.parameters) for column in columns])
    change = group.create_group("change")
    for name in CHANGES:
        change[name] = np.stack([getattr(column, name) for column in columns]).astype(np.float64)
    change["found"] = np.stack([column.found for column in columns]).astype(np.uint8)
    none = np.full(len(columns[0].found), UNTARGETED)
    targets = [none if column.target is None else column.target for column in columns]
    change["target"] = np.stack(targets).astype(np.int64)
    rejected = [column.rejected for column in columns if column.rejected is not None]
    if rejected:
        group["rejected"] = np.stack(rejected).astype(np.uint8)


def _write_texts(group: Any, names: Iterable[str], items: Sequence[Any]) -> None:
    for name in names:
        group[name] = utf8([getattr(item, name) for item in items])


def _write_trials(group: Any, evaluation: Evaluation) -> None:
    """Write the trials in the order of columns and defenses, one at a time to save memory."""
    pairs = [
        (i, j, trial)
        for i, column in enumerate(evaluation.columns)
        for j, defense in enumerate(evaluation.defenses)
        if (trial := evaluation.trial(column, defense)) is not None
    ]
    group["column"] = np.array([i for i, _, _ in pairs], np.int64)
    group["defense"] = np.array([j for _, j, _ in pairs], np.int64)
    shape = len(pairs), len(evaluation.names)
    for name, dtype in (("prediction", np.int64), ("probability", np.float32)):
        dataset = group.create_dataset(name, shape, dtype)
        for row, (_, _, trial) in enumerate(pairs):
            dataset[row] = getattr(trial, name)
    _write_treated(group, [trial.treated for _, _, trial in pairs])


def _write_treated(group: Any, trials: Sequence[Treated | None]) -> None:
    """Write what was done to the images, if that is known of all trials."""
    known = [treated for treated in trials if treated is not None]
    if not known or len(known) < len(trials):
        return
    group.parent["done"] = utf8(list(known[0].texts))
    shape = len(known), len(known[0].done)
    for name, dtype in (("done", np.int64), ("psnr", np.float32)):
        dataset = group.create_dataset(name, shape, dtype)
        for row, treated in enumerate(known):
            dataset[row] = getattr(treated, name)


def _write_confusion(group: Any, evaluation: Evaluation) -> None:
    """Write the confusion tables of all trials, one below the other."""
    trials = [trial for _, _, trial in by_class.tried(evaluation)]
    tables = [by_class.confusion(evaluation.labels, trial) for trial in trials]
    rows = [np.full(len(table.images), row, np.int64) for row, table in enumerate(tables)]
    group["trial"] = np.concatenate(rows)
    for name in by_class.Confusion._fields:
        group[name] = np.concatenate([getattr(table, name) for table in tables])


def csv_tables(evaluation: Evaluation) -> dict[str, str]:
    """The CSV files of an evaluation by their names."""
    rows = (
        statistics.rows(evaluation),
        statistics.defense_rows(evaluation),
        image_rows(evaluation),
        by_class.class_rows(evaluation),
        by_class.confusion_rows(evaluation),
        (vars(check) for check in evaluation.checks),
    )
    headers = [()] * (len(TABLES) - 1) + [CHECK_TEXTS]
    tables = zip(TABLES, rows, headers, strict=True)
    return {name: table_text(lines, header) for name, lines, header in tables}


def image_rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """The rows of ``images.csv``: one for each image and trial."""
    names = evaluation.class_names
    for column in evaluation.columns:
        for defense in evaluation.defenses:
            trial = evaluation.trial(column, defense)
            if trial is None:
                continue
            for i, name in enumerate(evaluation.names):
                label, prediction = int(evaluation.labels[i]), int(trial.prediction[i])
                yield {
                    "name": name,
                    "label": label,
                    "label_name": names[label],
                    "scenario": column.scenario,
                    "source": column.source,
                    "judged": column.judged,
                    "through": column.through,
                    "attack": column.attack,
                    "defense": defense.text,
                    "prediction": prediction,
                    "prediction_name": names[prediction] if prediction >= 0 else "",
                    "probability": f"{trial.probability[i]:.6f}",
                    "correct": prediction == label,
                    "d": column.d[i],
                    "l2": column.l2[i],
                    "linf": column.linf[i],
                    "found": bool(column.found[i]),
                    "rejected": None if column.rejected is None else bool(column.rejected[i]),
                    **_treatment_cells(trial.treated, i),
                }


def _treatment_cells(treated: Treated | None, i: int) -> dict[str, Any]:
    """What was done to one image; the PSNR of an unchanged image is empty."""
    if treated is None or treated.done[i] < 0:
        return {"done": None, "unchanged": None, "psnr": None}
    psnr = float(treated.psnr[i])
    unchanged = not np.isfinite(psnr)
    return {
        "done": treated.texts[treated.done[i]],
        "unchanged": unchanged,
        "psnr": None if unchanged else psnr,
    }


def table_text(rows: Iterable[Mapping[str, Any]], header: Sequence[str] = ()) -> str:
    """Dictionaries with equal keys as CSV; ``header`` is that of a table without rows."""
    lines = []
    for row in rows:
        header = list(row)
        lines.append(csv_line(_cell(key, value) for key, value in row.items()))
    return "".join([csv_line(header), *lines])


def _cell(key: str, value: Any) -> str:
    """A value as text: None is an empty cell; truth values are yes and no."""
    if isinstance(value, str):
        return name_cell(value) if key == "name" else text_cell(value)
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
