"""An evaluation on disk: ``evaluation.h5`` with every prediction, and CSV files for people.

With n images, m columns, k defenses and t trials, ``evaluation.h5`` contains its record and:

============================  =================  ===============================================
dataset                       shape, dtype       meaning
============================  =================  ===============================================
``name``, ``label``           (n,) UTF-8, int64  the judged images and their correct classes
``class_name``                (c,) UTF-8         names of the classes
``column/scenario``, …        (m,) UTF-8         the attack: ``scenario``, ``source``,
                                                 ``judged``, ``through``, ``attack``,
                                                 ``family``, ``strength_name``
``column/strength``           (m,) float64       NaN if there is none
``column/parameters``         (m,) UTF-8         JSON
``column/linf``, …            (m, n) float64     the actual change: ``linf``, ``l2``, ``d``
``column/found``              (m, n) uint8       0 where an attack found no change
``column/target``             (m, n) int64       class that the attack was to reach; −1 for an
                                                 image that was not attacked, −2 for an attack
                                                 without a target
``defense/text``, …           (k,) UTF-8         ``text``, ``kind``, ``parameters`` (JSON)
``trial/column``              (t,) int64         index of the column, from 0
``trial/defense``             (t,) int64         index of the defense, from 0
``trial/prediction``          (t, n) int64       −1 if an image was not classified
``trial/probability``         (t, n) float32     probability of the predicted class
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

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsparse.errors import InputError
from rsparse.evaluation import by_class, statistics
from rsparse.evaluation.results import Check, Column, Evaluation, JudgedDefense, Trial
from rsparse.store.files import read_bytes, write_atomic
from rsparse.store.hdf5 import create_hdf5, open_hdf5, read_array, read_texts, utf8
from rsparse.store.records import EVALUATION, Record

if TYPE_CHECKING:
    import h5py

EVALUATION_FILE = "evaluation.h5"
TIMING_FILE = "timing.json"
_COLUMN_TEXTS = ("scenario", "source", "judged", "through", "attack", "family", "strength_name")
_SIZES = ("linf", "l2", "d")
UNTARGETED = -2
_CHECK_TEXTS = tuple(field.name for field in fields(Check))


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
    _write_csv(folder / "results.csv", statistics.rows(evaluation))
    _write_csv(folder / "defenses.csv", statistics.defense_rows(evaluation))
    _write_csv(folder / "images.csv", image_rows(evaluation))
    _write_csv(folder / "classes.csv", by_class.class_rows(evaluation))
    _write_csv(folder / "confusion.csv", by_class.confusion_rows(evaluation))
    checks = [vars(check) for check in evaluation.checks]
    _write_csv(folder / "checks.csv", checks, _CHECK_TEXTS)
    path = folder / EVALUATION_FILE
    with create_hdf5(path, record) as file:
        for name in ("model", "only_correct", "left_out"):
            file.attrs[name] = getattr(evaluation, name)
        file["name"] = utf8(list(evaluation.names))
        file["label"] = evaluation.labels.astype(np.int64)
        file["class_name"] = utf8(list(evaluation.class_names))
        _write_columns(file.create_group("column"), evaluation.columns)
        _write_texts(file.create_group("defense"), ("text", "kind"), evaluation.defenses)
        file["defense"]["parameters"] = utf8([_json(d.parameters) for d in evaluation.defenses])
        _write_texts(file.create_group("check"), _CHECK_TEXTS, evaluation.checks)
        _write_trials(file.create_group("trial"), evaluation)
        _write_confusion(file.create_group("confusion"), evaluation)
    return path


def _write_columns(group: Any, columns: Sequence[Column]) -> None:
    _write_texts(group, _COLUMN_TEXTS, columns)
    strengths = [np.nan if c.strength is None else c.strength for c in columns]
    group["strength"] = np.array(strengths, np.float64)
    group["parameters"] = utf8([_json(column.parameters) for column in columns])
    for name in _SIZES:
        group[name] = np.stack([getattr(column, name) for column in columns]).astype(np.float64)
    group["found"] = np.stack([column.found for column in columns]).astype(np.uint8)
    none = np.full(len(columns[0].found), UNTARGETED)
    targets = [none if column.target is None else column.target for column in columns]
    group["target"] = np.stack(targets).astype(np.int64)


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


def _write_confusion(group: Any, evaluation: Evaluation) -> None:
    """Write the confusion tables of all trials, one below the other."""
    trials = [trial for _, _, trial in by_class.tried(evaluation)]
    tables = [by_class.confusion(evaluation.labels, trial) for trial in trials]
    rows = [np.full(len(table.images), row, np.int64) for row, table in enumerate(tables)]
    group["trial"] = np.concatenate(rows)
    for name in by_class.Confusion._fields:
        group[name] = np.concatenate([getattr(table, name) for table in tables])


def load_evaluation(folder: Path) -> Evaluation:
    """Load the evaluation in a folder, with the seconds of the defenses from ``timing.json``.

    Raises
    ------
    InputError
        If the folder contains no evaluation, or the file is damaged or of another version.
    """
    path = folder / EVALUATION_FILE
    if not path.exists():
        raise InputError(f"{folder}: contains no finished evaluation ({EVALUATION_FILE})")
    with open_hdf5(path, EVALUATION) as (file, record):
        columns = tuple(_read_columns(file))
        defenses = tuple(_read_defenses(file, load_timing(folder)))
        checks = zip(*(read_texts(file, f"check/{name}") for name in _CHECK_TEXTS), strict=True)
        return Evaluation(
            record=record,
            model=str(file.attrs["model"]),
            names=tuple(read_texts(file, "name")),
            labels=read_array(file, "label", "i", 1),
            only_correct=bool(file.attrs["only_correct"]),
            left_out=int(file.attrs["left_out"]),
            class_names=tuple(read_texts(file, "class_name")),
            columns=columns,
            defenses=defenses,
            trials=tuple(_read_trials(file, columns, defenses)),
            checks=tuple(Check(*texts) for texts in checks),
        )


def _read_columns(file: h5py.File) -> Iterator[Column]:
    parameters = read_texts(file, "column/parameters")
    texts: dict[str, Any] = {name: read_texts(file, f"column/{name}") for name in _COLUMN_TEXTS}
    strengths = read_array(file, "column/strength", "f", 1)
    sizes: dict[str, Any] = {name: read_array(file, f"column/{name}", "f", 2) for name in _SIZES}
    found = read_array(file, "column/found", "u", 2).astype(bool)
    targets = read_array(file, "column/target", "i", 2)
    for i, strength in enumerate(strengths):
        row: dict[str, Any] = {name: values[i] for name, values in (texts | sizes).items()}
        yield Column(
            **row,
            strength=None if np.isnan(strength) else float(strength),
            parameters=json.loads(parameters[i]),
            found=found[i],
            target=None if (targets[i] == UNTARGETED).all() else targets[i],
        )


def _read_defenses(file: h5py.File, timing: Mapping[str, float]) -> Iterator[JudgedDefense]:
    names = ("text", "kind", "parameters")
    for text, kind, parameters in zip(
        *(read_texts(file, f"defense/{name}") for name in names), strict=True
    ):
        yield JudgedDefense(text, kind, json.loads(parameters), timing.get(text))


def _read_trials(
    file: h5py.File, columns: Sequence[Column], defenses: Sequence[JudgedDefense]
) -> Iterator[Trial]:
    indices = [read_array(file, f"trial/{name}", "i", 1) for name in ("column", "defense")]
    prediction = read_array(file, "trial/prediction", "i", 2)
    probability = read_array(file, "trial/probability", "f", 2)
    for name, index, items in zip(("column", "defense"), indices, (columns, defenses), strict=True):
        if len(index) != len(prediction) or len(index) != len(probability):
            raise ValueError(f"trial/{name}: has another length than the predictions")
        if ((index < 0) | (index >= len(items))).any():
            raise ValueError(f"trial/{name}: an index is out of range")
    for row, (i, j) in enumerate(zip(*indices, strict=True)):
        yield Trial(columns[i].key, defenses[j].text, prediction[row], probability[row])


def load_timing(folder: Path) -> dict[str, float]:
    """Load the seconds per image by defense from ``timing.json``; empty without that file."""
    path = folder / TIMING_FILE
    if not path.exists():
        return {}
    try:
        content = json.loads(read_bytes(path))
        return {str(text): float(value) for text, value in content["seconds_an_image"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is damaged; remove it") from error


def save_timing(folder: Path, seconds_an_image: Mapping[str, float]) -> None:
    """Write ``timing.json``."""
    content = {"seconds_an_image": dict(sorted(seconds_an_image.items()))}
    write_atomic(folder / TIMING_FILE, json.dumps(content, indent=1).encode() + b"\n")


def with_timing(evaluation: Evaluation, timing: Mapping[str, float]) -> Evaluation:
    """A copy of the evaluation with the seconds of the defenses from ``load_timing``."""
    timed = tuple(replace(d, seconds=timing.get(d.text)) for d in evaluation.defenses)
    return replace(evaluation, defenses=timed)


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
                }


def _write_csv(
    path: Path, lines: Iterable[Mapping[str, Any]], header: Sequence[str] | None = None
) -> None:
    """Write dictionaries with equal keys as CSV. None is an empty cell; booleans are yes and no."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    for number, line in enumerate(lines):
        if number == 0:
            header = list(line)
            writer.writerow(header)
        writer.writerow([_cell(value) for value in line.values()])
    if not buffer.tell() and header is not None:
        writer.writerow(header)
    write_atomic(path, buffer.getvalue().encode())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
