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
``done/text``           (q,) UTF-8         what a defense did to the images
``done/index``          (n,) int64         index of the image's text
``done/psnr``           (n,) float32       from the image to the clean one in dB; infinite for an
                                           unchanged image
======================  =================  ===================================================

The group ``done`` is only in the trials of an evaluation.
``pred.csv`` contains the same as text, with label columns only if labels are known. Its record
is in ``pred.csv.json`` beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.store.csv_artifacts import write_csv
from rsparse.store.csv_text import csv_line, name_cell, text_cell
from rsparse.store.hdf5 import create_hdf5, utf8
from rsparse.store.hdf5_reading import is_present, open_hdf5, read_array, read_texts
from rsparse.store.records import PREDICTIONS, Record
from rsparse.store.together import Members, appear_together
from rsparse.store.treatments import in_order


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of an image; the first is the prediction.

    ``done`` tells what a defense did to the image before, and ``psnr`` how much it changed it, in
    dB; None if that is not recorded.
    """

    name: str
    sha256: str
    label: int | None
    classes: tuple[int, ...]
    probabilities: tuple[float, ...]
    done: str | None = None
    psnr: float | None = None

    @property
    def is_correct(self) -> bool | None:
        """Whether the prediction equals the label; ``None`` if the label is not known."""
        return None if self.label is None else self.classes[0] == self.label


def save_predictions(
    path: Path,
    record: Record,
    rows: Sequence[Prediction],
    class_names: Sequence[str],
    members: Members | None = None,
) -> None:
    """Write ``pred.csv`` with its record if the path ends in ``.csv``, else ``pred.h5``.

    With ``members``, they appear together with other files.
    """
    if members is None:
        with appear_together(path) as members:
            save_predictions(path, record, rows, class_names, members)
        return
    if path.suffix.lower() == ".csv":
        write_csv(members, path, record, csv_lines(rows, class_names))
        return
    with create_hdf5(path, record, members.create) as file:
        file["name"] = utf8([row.name for row in rows])
        file["sha256"] = utf8([row.sha256 for row in rows])
        labels = [-1 if row.label is None else row.label for row in rows]
        file["label"] = np.array(labels, dtype=np.int64)
        file["top_class"] = np.array([row.classes for row in rows], dtype=np.int64)
        file["top_probability"] = np.array([row.probabilities for row in rows], dtype=np.float32)
        file["class_name"] = utf8(list(class_names))
        if rows and all(row.done is not None for row in rows):
            _write_done(file.create_group("done"), rows)


def _write_done(group: Any, rows: Sequence[Prediction]) -> None:
    texts = in_order({row.done or "" for row in rows})
    places = {text: place for place, text in enumerate(texts)}
    group["text"] = utf8(texts)
    group["index"] = np.array([places[row.done or ""] for row in rows], dtype=np.int64)
    group["psnr"] = np.array([row.psnr for row in rows], dtype=np.float32)


def load_predictions(path: Path) -> tuple[list[Prediction], dict[str, Any]]:
    """Read the rows of a ``pred.h5`` and its record.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another format.
    """
    with open_hdf5(path, PREDICTIONS) as (file, record):
        names, n_classes = read_texts(file, "name"), len(read_texts(file, "class_name"))
        n = len(names)
        digests = read_texts(file, "sha256", n)
        labels = read_array(file, "label", "i", (n,))
        classes = read_array(file, "top_class", "i", (n, None))
        probabilities = read_array(file, "top_probability", "f", classes.shape)
        _refuse_outside(labels, classes, probabilities, n_classes)
        rows = [
            Prediction(name, digest, None if label < 0 else int(label), top, shares, *done)
            for name, digest, label, top, shares, done in zip(
                names,
                digests,
                labels,
                map(tuple, classes.tolist()),
                map(tuple, probabilities.tolist()),
                _read_done(file, n),
                strict=True,
            )
        ]
    return rows, record


def _read_done(file: Any, n: int) -> list[tuple[str | None, float | None]]:
    """What was done to each image and its PSNR; None if the file does not tell."""
    if not is_present(file, "done"):
        return [(None, None)] * n
    texts = read_texts(file, "done/text")
    places = read_array(file, "done/index", "i", (n,))
    psnr = read_array(file, "done/psnr", "f", (n,))
    if n and not (places.min() >= 0 and places.max() < len(texts)):
        raise ValueError(f"done/index: expected numbers from 0 to {len(texts) - 1}")
    if not (psnr >= 0).all():
        raise ValueError("done/psnr: expected numbers of 0 or more")
    return [(texts[place], size) for place, size in zip(places, psnr.tolist(), strict=True)]


def _refuse_outside(labels: Any, classes: Any, probabilities: Any, n_classes: int) -> None:
    """Check the ranges of what was read; ``ValueError`` if a number is outside."""
    if not classes.size:
        raise ValueError("top_class: is empty")
    if labels.min() < -1 or labels.max() >= n_classes:
        raise ValueError(f"label: expected numbers from -1 to {n_classes - 1}")
    if classes.min() < 0 or classes.max() >= n_classes:
        raise ValueError(f"top_class: expected numbers from 0 to {n_classes - 1}")
    if not ((probabilities >= 0) & (probabilities <= 1.001)).all():
        raise ValueError("top_probability: expected numbers from 0 to 1")


def csv_lines(rows: Iterable[Prediction], class_names: Sequence[str]) -> Iterator[str]:
    """Yield the predictions as lines of CSV, with a header."""
    rows = list(rows)
    labelled = any(row.label is not None for row in rows)
    header = ["name", *(["label", "label_name"] if labelled else [])]
    for rank in range(1, 1 + len(rows[0].classes) if rows else 1):
        header += [f"class_{rank}", f"class_name_{rank}", f"probability_{rank}"]
    yield csv_line(header)
    for row in rows:
        cells = [name_cell(row.name)]
        if labelled:
            cells += ["", ""] if row.label is None else _class_cells(row.label, class_names)
        for index, probability in zip(row.classes, row.probabilities, strict=True):
            cells += [*_class_cells(index, class_names), f"{probability:.6f}"]
        yield csv_line(cells)


def _class_cells(index: int, class_names: Sequence[str]) -> list[str]:
    return [str(index), text_cell(class_names[index])]
