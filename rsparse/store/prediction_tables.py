"""Read the first predictions of ``pred.csv`` or ``pred.h5``, with the names of their classes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rsparse.errors import InputError
from rsparse.store.csv_artifacts import CHECKSUM, read_record_beside, record_beside
from rsparse.store.csv_text import name_of, text_of
from rsparse.store.files import read_bytes, sha256_of
from rsparse.store.hdf5_reading import open_hdf5, read_texts
from rsparse.store.predictions import load_predictions
from rsparse.store.records import PREDICTIONS


class FirstPrediction(NamedTuple):
    """The most probable class of an image, its probability, and the right class if it is known."""

    prediction: int
    probability: float
    label: int | None


@dataclass(frozen=True)
class PredictionTable:
    """The predictions for the images of a folder.

    Attributes
    ----------
    rows : mapping of str to FirstPrediction
        By the names of the images.
    class_names : mapping of int to str
        Those that the file tells.
    record : mapping
    """

    rows: Mapping[str, FirstPrediction]
    class_names: Mapping[int, str]
    record: Mapping[str, Any]


def load_prediction_table(path: Path) -> PredictionTable:
    """Read predictions of either format.

    Raises
    ------
    InputError
        If the file or its record is missing, damaged, changed, or of another format.
    """
    if path.suffix.lower() == ".csv":
        return _from_csv(path)
    rows, record = load_predictions(path)
    with open_hdf5(path, PREDICTIONS) as (file, _):
        names = dict(enumerate(read_texts(file, "class_name")))
    first = {
        row.name: FirstPrediction(row.classes[0], row.probabilities[0], row.label) for row in rows
    }
    return PredictionTable(first, names, record)


def _from_csv(path: Path) -> PredictionTable:
    content, record = read_bytes(path), read_record_beside(path, PREDICTIONS)
    if record.get(CHECKSUM) != sha256_of(content):
        raise InputError(
            f"{path}: differs from the checksum in {record_beside(path).name}; make it again"
        )
    reader = csv.DictReader(io.StringIO(content.decode(errors="replace"), newline=""))
    rows: dict[str, FirstPrediction] = {}
    names: dict[int, str] = {}
    for row in reader:
        try:
            rows[name_of(row["name"])] = _first(row)
            names.update(_names(row))
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{path}: line {reader.line_num}: is not a prediction as rsparse classify writes it"
            ) from None
    return PredictionTable(rows, names, record)


def _first(row: Mapping[str, str]) -> FirstPrediction:
    index, share, label = int(row["class_1"]), float(row["probability_1"]), row.get("label", "")
    if not 0 <= index < 2**31 or not 0 <= share <= 1.001 or not math.isfinite(share):
        raise ValueError
    right = int(label) if label else None
    if right is not None and not 0 <= right < 2**31:
        raise ValueError
    return FirstPrediction(index, share, right)


def _names(row: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """The classes that a row names, with their indices."""
    yield int(row["class_1"]), text_of(row["class_name_1"])
    if row.get("label"):
        yield int(row["label"]), text_of(row["label_name"])
