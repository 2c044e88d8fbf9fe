"""Read and write ``pred.h5`` and ``pred.csv``: a classifier's predictions for a folder of images.

There is one row per image, sorted by name:

======================  =================  ===================================================
dataset                 shape, dtype       meaning
======================  =================  ===================================================
``name``                (n,) UTF-8         the image's name, the join key
``sha256``              (n,) UTF-8         of its file
``label``               (n,) int64         the true class, −1 if it is not known
``top_class``           (n, k) int64       the k most probable classes, the first the prediction
``top_probability``     (n, k) float32     their probabilities
``class_name``          (c,) UTF-8         names of the classes
======================  =================  ===================================================

``pred.csv`` contains the same as text, with label columns only if labels are known. Its record
is in ``pred.csv.json`` beside it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.errors import InputError
from rsparse.store.files import read_bytes, write_atomic
from rsparse.store.hdf5 import create_hdf5, open_hdf5, read_array, read_texts, utf8
from rsparse.store.records import PREDICTIONS, Record, check_record


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of an image; the first is the prediction."""

    name: str
    sha256: str
    label: int | None
    classes: tuple[int, ...]
    probabilities: tuple[float, ...]

    @property
    def is_correct(self) -> bool | None:
        """Whether the prediction equals the label; ``None`` if the label is not known."""
        return None if self.label is None else self.classes[0] == self.label


def save_predictions(
    path: Path, record: Record, rows: Sequence[Prediction], class_names: Sequence[str]
) -> None:
    """Write ``pred.csv`` if the path ends in ``.csv``, else ``pred.h5``."""
    if path.suffix.lower() == ".csv":
        text = "".join(csv_lines(rows, class_names))
        content = json.dumps(record.as_json(), indent=1, sort_keys=True, ensure_ascii=False)
        write_atomic(record_beside(path), content.encode() + b"\n")
        write_atomic(path, text.encode())
        return
    with create_hdf5(path, record) as file:
        file["name"] = utf8([row.name for row in rows])
        file["sha256"] = utf8([row.sha256 for row in rows])
        labels = [-1 if row.label is None else row.label for row in rows]
        file["label"] = np.array(labels, dtype=np.int64)
        file["top_class"] = np.array([row.classes for row in rows], dtype=np.int64)
        file["top_probability"] = np.array([row.probabilities for row in rows], dtype=np.float32)
        file["class_name"] = utf8(list(class_names))


def load_predictions(path: Path) -> tuple[list[Prediction], dict[str, Any]]:
    """Read the rows of a ``pred.h5`` and its record.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another format.
    """
    with open_hdf5(path, PREDICTIONS) as (file, record):
        names, digests = read_texts(file, "name"), read_texts(file, "sha256")
        labels = read_array(file, "label", "i", 1)
        classes = read_array(file, "top_class", "i", 2)
        probabilities = read_array(file, "top_probability", "f", 2)
        rows = [
            Prediction(name, digest, None if label < 0 else int(label), top, shares)
            for name, digest, label, top, shares in zip(
                names,
                digests,
                labels,
                map(tuple, classes.tolist()),
                map(tuple, probabilities.tolist()),
                strict=True,
            )
        ]
    return rows, record


def record_beside(path: Path) -> Path:
    """The path of the record of a CSV artifact."""
    return path.with_name(f"{path.name}.json")


def read_record_beside(path: Path) -> dict[str, Any]:
    """The record of a CSV artifact.

    Raises
    ------
    InputError
        If it is missing, damaged, or of a version that is not read.
    """
    place = record_beside(path)
    try:
        record = json.loads(read_bytes(place))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: is not valid JSON: {error}") from error
    return check_record(record, place, PREDICTIONS)


def csv_lines(rows: Iterable[Prediction], class_names: Sequence[str]) -> Iterator[str]:
    """Yield the predictions as lines of CSV, with a header."""
    rows = list(rows)
    labelled = any(row.label is not None for row in rows)
    header = ["name", *(["label", "label_name"] if labelled else [])]
    for rank in range(1, 1 + len(rows[0].classes) if rows else 1):
        header += [f"class_{rank}", f"class_name_{rank}", f"probability_{rank}"]
    yield _line(header)
    for row in rows:
        cells = [row.name]
        if labelled:
            cells += ["", ""] if row.label is None else [str(row.label), class_names[row.label]]
        for index, probability in zip(row.classes, row.probabilities, strict=True):
            cells += [str(index), class_names[index], f"{probability:.6f}"]
        yield _line(cells)


def _line(cells: Sequence[str]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
