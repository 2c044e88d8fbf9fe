"""``found.csv``: which images look attacked; its record is in ``found.csv.json``.

There is one row per image: first those of the images that were given, sorted by name, then those of
each folder of attacked images. The columns are ``folder`` (empty for the given images), ``name``,
``sha256`` of the file, ``detected`` (yes or no), ``p_value``, ``combined``, and a column for each
score.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.store.csv_artifacts import CHECKSUM, read_record_beside
from rsparse.store.csv_text import csv_line, name_cell, name_of, text_cell
from rsparse.store.files import read_bytes, sha256_of
from rsparse.store.records import DETECTIONS

_YES, _NO = "yes", "no"
_COLUMNS = ("folder", "name", "sha256", "detected", "p_value", "combined")


@dataclass(frozen=True)
class Detection:
    """What a detector found in an image.

    Attributes
    ----------
    folder : str
        The folder of attacked images that it comes from; "" for the images to examine.
    name, sha256 : str
    detected : bool
        Whether it looks attacked: whether its p-value is at most the level of false alarms.
    p_value : float
        See ``core.conformal.Unusualness``.
    combined : float
    scores : tuple of float
    """

    folder: str
    name: str
    sha256: str
    detected: bool
    p_value: float
    combined: float
    scores: tuple[float, ...]


def detection_lines(rows: Iterable[Detection], columns: Sequence[str]) -> Iterator[str]:
    """Yield detections as lines of CSV, with a header; ``columns`` are the names of the scores."""
    yield csv_line([*_COLUMNS, *columns])
    for row in rows:
        yield csv_line([
            text_cell(row.folder),
            name_cell(row.name),
            row.sha256,
            _YES if row.detected else _NO,
            *(f"{value:.6g}" for value in (row.p_value, row.combined, *row.scores)),
        ])  # fmt: skip


def load_detected(path: Path) -> tuple[dict[str, bool], dict[str, Any]]:
    """Read whether each image was detected, by the SHA-256 of its file, and the record.

    Raises
    ------
    InputError
        If the table or its record is missing, damaged or changed.
    """
    rows, record = _load_rows(path)
    return {row["sha256"]: row["detected"] == _YES for row in rows}, record


def load_detected_names(path: Path) -> tuple[dict[str, bool], dict[str, Any]]:
    """Read whether each examined image was detected, by its name, and the record.

    Raises
    ------
    InputError
        As ``load_detected``.
    """
    rows, record = _load_rows(path)
    own = (row for row in rows if not row.get("folder"))
    return {name_of(row.get("name") or ""): row["detected"] == _YES for row in own}, record


def _load_rows(path: Path) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """The checked rows of a table, and its record."""
    if path.suffix.lower() != ".csv":
        table = path.name.removesuffix(".json") if path.name.endswith(".csv.json") else "found.csv"
        raise InputError(
            f"{path}: expected a table that rsparse detect writes with -o {table}, a file ending "
            "in .csv"
        )
    content = read_bytes(path)
    beside = path.with_name(f"{path.name}.json")
    if not beside.exists():
        raise InputError(
            f"{path}: has no {beside.name} beside it, which rsparse detect writes with "
            f"-o {path.name}"
        )
    record = read_record_beside(path, DETECTIONS)
    if record.get(CHECKSUM) != sha256_of(content):
        raise InputError(f"{path}: differs from the checksum in {path.name}.json; make it again")
    reader = csv.DictReader(io.StringIO(content.decode(errors="replace"), newline=""))
    rows: list[dict[str, str]] = []
    for row in reader:
        if not row.get("sha256") or row.get("detected") not in (_YES, _NO):
            raise InputError(f"{path}: line {reader.line_num}: expected a sha256 and yes or no")
        rows.append(row)
    return rows, record


def how_many_cleaned(entries: Iterable[Mapping[str, Any]]) -> str:
    """A sentence on the ``detected`` of the entries of a folder in which only these are cleaned."""
    flags = Counter(entry["detected"] for entry in entries)
    return f"{flags[True]} of {flags.total()} images were detected and cleaned, the others are kept"
