"""``reference.h5``: the scores of clean images, among which ``rsparse detect`` ranks others.

There is one row per clean image, sorted by name:

==================  ================  ============================================================
dataset             shape, dtype      meaning
==================  ================  ============================================================
``name``            (n,) UTF-8        the image's name
``sha256``          (n,) UTF-8        of its file
``score_name``      (k,) UTF-8        the scores, as specs
``score``           (n, k) float64    their values; larger is more suspicious
``size``            (2,) int64        the most frequent height and width of the measured images
==================  ================  ============================================================

The record holds their parameters, the input of the classifier, and the sources of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.store.hdf5 import create_hdf5, utf8
from rsparse.store.hdf5_reading import open_hdf5, read_array, read_texts
from rsparse.store.records import DETECTOR, Record
from rsparse.store.together import Members


@dataclass(frozen=True)
class ReferenceScores:
    """The scores of clean images.

    Attributes
    ----------
    digests : mapping of str to str
        SHA-256 of the images' files by name, in the order of the rows.
    columns : tuple of str
        The specs of the scores.
    scores : float64 array of shape (n, k)
    size : (int, int)
        The most frequent height and width of the images when they were measured.
    """

    digests: Mapping[str, str]
    columns: tuple[str, ...]
    scores: NDArray[np.float64]
    size: tuple[int, int]


def save_reference(
    path: Path, record: Record, reference: ReferenceScores, members: Members
) -> None:
    """Write ``reference.h5``; it appears together with ``members``."""
    with create_hdf5(path, record, members.create) as file:
        file["name"] = utf8(list(reference.digests))
        file["sha256"] = utf8(list(reference.digests.values()))
        file["score_name"] = utf8(list(reference.columns))
        file["score"] = reference.scores
        file["size"] = np.array(reference.size, dtype=np.int64)


def load_reference(path: Path) -> tuple[ReferenceScores, dict[str, Any]]:
    """Read ``reference.h5`` and its record.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another format.
    """
    with open_hdf5(path, DETECTOR) as (file, record):
        names, columns = read_texts(file, "name"), read_texts(file, "score_name")
        digests = read_texts(file, "sha256", len(names))
        scores = read_array(file, "score", "f", (len(names), len(columns))).astype(np.float64)
        rows_columns = read_array(file, "size", "i", (2,)).tolist()
        if not scores.size:
            raise ValueError("score: is empty")
        if not np.isfinite(scores).all():
            raise ValueError("score: expected finite numbers")
        found = dict(zip(names, digests, strict=True))
        if len(found) < len(names):
            raise ValueError("name: contains a name twice")
    return ReferenceScores(found, tuple(columns), scores, tuple(rows_columns)), record
