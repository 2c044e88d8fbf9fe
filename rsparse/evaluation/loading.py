"""Load ``evaluation.h5``, whose content is checked: see ``rsparse.evaluation.files`` for its tree.

All lengths have to agree, and all classes, indices and measurements have to be in range. A
``ValueError`` in here becomes an ``InputError`` that names the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsparse.errors import InputError
from rsparse.evaluation.checks.outcomes import OUTCOMES
from rsparse.evaluation.files import (
    ATTACK_TEXTS,
    CHECK_TEXTS,
    COLUMN_TEXTS,
    EVALUATION_FILE,
    UNTARGETED,
)
from rsparse.evaluation.results import (
    CLEAN,
    Check,
    Column,
    Evaluation,
    JudgedDefense,
    Trial,
)
from rsparse.evaluation.timing import load_timing
from rsparse.evaluation.treated import Treated
from rsparse.store.hdf5_reading import (
    is_present,
    open_hdf5,
    read_array,
    read_attribute,
    read_text_attribute,
    read_texts,
)
from rsparse.store.pending import journal_of, settle
from rsparse.store.records import EVALUATION

if TYPE_CHECKING:
    import h5py

LARGEST_CHANGES = {"linf": 255.0, "l2": float(np.finfo(np.float32).max), "d": np.inf}
"""The largest value of each of ``CHANGES``; ``d`` is infinite if the benign image is black."""


def load_evaluation(folder: Path) -> Evaluation:
    """Load the evaluation in a folder, with the seconds of the defenses from ``timing.json``.

    Raises
    ------
    InputError
        If there is no such folder, it contains no evaluation, or the file is damaged or of
        another version.
    """
    if not folder.exists():
        raise InputError(f"{folder}: no such folder; 'rsparse evaluate … -o {folder}' makes one")
    path = folder / EVALUATION_FILE
    settle(journal_of(path))
    if not path.exists():
        raise InputError(f"{folder}: contains no finished evaluation ({EVALUATION_FILE})")
    with open_hdf5(path, EVALUATION) as (file, record):
        names = _distinct("name", read_texts(file, "name"))
        class_names = read_texts(file, "class_name")
        columns = tuple(_read_columns(file, len(names), len(class_names)))
        defenses = tuple(_read_defenses(file, load_timing(folder)))
        evaluation = Evaluation(
            record=record,
            model=read_text_attribute(file, "model"),
            names=tuple(names),
            labels=_read_classes(file, "label", (len(names),), range(len(class_names))),
            only_correct=read_attribute(file, "only_correct", "b"),
            left_out=_read_count(file, "left_out"),
            class_names=tuple(class_names),
            columns=columns,
            defenses=defenses,
            trials=tuple(_read_trials(file, columns, defenses, len(names), len(class_names))),
            checks=tuple(_read_checks(file)),
        )
        _check_wholeness(evaluation)
    return evaluation


def _read_count(file: h5py.File, name: str) -> int:
    """A number of images in an attribute."""
    value: int = read_attribute(file, name, "iu")
    if value < 0:
        raise ValueError(f"the attribute {name} is invalid: {value}")
    return value


def _distinct(name: str, values: Iterable[Hashable]) -> list[Any]:
    """The values as a list; there have to be some, and none twice."""
    found = list(values)
    if not found:
        raise ValueError(f"{name}: is empty")
    if len(set(found)) < len(found):
        raise ValueError(f"{name}: contains a value twice")
    return found


def _read_classes(
    file: h5py.File, name: str, shape: tuple[int | None, ...], allowed: range
) -> NDArray[np.int64]:
    """Whole numbers that all have to be in a range."""
    values: NDArray[np.int64] = read_array(file, name, "i", shape).astype(np.int64)
    if values.size and not (values.min() in allowed and values.max() in allowed):
        raise ValueError(f"{name}: expected numbers from {allowed[0]} to {allowed[-1]}")
    return values


def _read_measured(
    file: h5py.File, name: str, shape: tuple[int | None, ...], largest: float
) -> NDArray[Any]:
    """Numbers from 0 to ``largest``, which may be infinite."""
    values: NDArray[Any] = read_array(file, name, "f", shape)
    if not ((values >= 0) & (values <= largest)).all():
        raise ValueError(f"{name}: expected numbers from 0 to {largest}")
    return values


def _read_columns(file: h5py.File, n_images: int, n_classes: int) -> Iterator[Column]:
    attacks = read_texts(file, "column/attack/text")
    m = len(attacks)
    texts = {name: read_texts(file, f"column/{name}", m) for name in COLUMN_TEXTS}
    texts |= {name: read_texts(file, f"column/attack/{name}", m) for name in ATTACK_TEXTS}
    parameters = read_texts(file, "column/attack/parameters", m)
    strengths = list(_read_strengths(file, texts["strength_name"]))
    shape = m, n_images
    changes: dict[str, Any] = {
        name: _read_measured(file, f"column/change/{name}", shape, largest)
        for name, largest in LARGEST_CHANGES.items()
    }
    found = read_array(file, "column/change/found", "u", shape).astype(bool)
    targets = _read_classes(file, "column/change/target", shape, range(UNTARGETED, n_classes))
    rejected = None
    if "rejected" in file["column"]:
        rejected = read_array(file, "column/rejected", "u", shape).astype(bool)
    for i, strength in enumerate(strengths):
        row: dict[str, Any] = {name: values[i] for name, values in (texts | changes).items()}
        yield Column(
            **row,
            attack=attacks[i],
            strength=strength,
            parameters=_object("column/attack/parameters", parameters[i]),
            found=found[i],
            target=None if (targets[i] == UNTARGETED).all() else targets[i],
            rejected=None if rejected is None else rejected[i],
        )


def _read_strengths(file: h5py.File, names: Sequence[str]) -> Iterator[float | None]:
    """The strengths of the columns; NaN where an attack has none, and thus no name of one."""
    values = read_array(file, "column/attack/strength", "f", (len(names),)).tolist()
    for value, name in zip(values, names, strict=True):
        if not (0 <= value < math.inf if name else math.isnan(value)):
            expected = "a finite number of 0 or more" if name else "NaN without a strength_name"
            raise ValueError(f"column/attack/strength: expected {expected}, got {value}")
        yield value if name else None


def _object(name: str, text: str) -> dict[str, Any]:
    """The object in a JSON text, all of whose numbers are finite."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{name}: expected finite numbers, got {word}")

    value = json.loads(text, parse_constant=refuse, parse_float=partial(_finite, refuse))
    if not isinstance(value, dict):
        raise ValueError(f"{name}: expected JSON objects")
    return value


def _finite(refuse: Callable[[str], Any], word: str) -> float:
    """The number that a word of JSON stands for; ``1e999`` is none."""
    number = float(word)
    return number if math.isfinite(number) else refuse(word)


def _read_defenses(file: h5py.File, timing: Mapping[str, float]) -> Iterator[JudgedDefense]:
    texts = _distinct("defense/text", read_texts(file, "defense/text"))
    kinds = read_texts(file, "defense/kind", len(texts))
    parameters = read_texts(file, "defense/parameters", len(texts))
    for text, kind, values in zip(texts, kinds, parameters, strict=True):
        defense = JudgedDefense(text, kind, _object("defense/parameters", values), timing.get(text))
        try:
            _ = defense.is_ours
        except (KeyError, TypeError) as error:
            raise ValueError("defense/parameters: the rules of a policy are damaged") from error
        yield defense


def _read_trials(
    file: h5py.File,
    columns: Sequence[Column],
    defenses: Sequence[JudgedDefense],
    n_images: int,
    n_classes: int,
) -> Iterator[Trial]:
    column = _read_classes(file, "trial/column", (None,), range(len(columns)))
    shape = len(column), n_images
    defense = _read_classes(file, "trial/defense", shape[:1], range(len(defenses)))
    prediction = _read_classes(file, "trial/prediction", shape, range(-1, n_classes))
    probability = _read_measured(file, "trial/probability", shape, 1.001)
    treated = _read_treated(file, shape)
    pairs = _distinct("trial", zip(column.tolist(), defense.tolist(), strict=True))
    for row, (i, j) in enumerate(pairs):
        key, text = columns[i].key, defenses[j].text
        yield Trial(key, text, prediction[row], probability[row], treated[row])


def _read_treated(file: h5py.File, shape: tuple[int, int]) -> list[Treated | None]:
    """What was done to the images of each trial; None if the file does not tell."""
    if not is_present(file, "done"):
        return [None] * shape[0]
    texts = tuple(_distinct("done", read_texts(file, "done")))
    done = _read_classes(file, "trial/done", shape, range(-1, len(texts)))
    psnr = read_array(file, "trial/psnr", "f", shape)
    if not ((psnr >= 0) | ((done < 0) & np.isnan(psnr))).all():
        raise ValueError("trial/psnr: expected numbers of 0 or more, and NaN without a text")
    return [Treated(texts, *rows) for rows in zip(done, psnr, strict=True)]


def _read_checks(file: h5py.File) -> Iterator[Check]:
    first = read_texts(file, f"check/{CHECK_TEXTS[0]}")
    others = [read_texts(file, f"check/{name}", len(first)) for name in CHECK_TEXTS[1:]]
    for texts in zip(first, *others, strict=True):
        check = Check(*texts)
        if check.outcome not in OUTCOMES:
            raise ValueError(f"check/outcome: expected one of {', '.join(OUTCOMES)}")
        yield check


def _check_wholeness(evaluation: Evaluation) -> None:
    """Check that the columns are distinct, and that each has its clean images and its trials."""
    _distinct("column", (column.key for column in evaluation.columns))
    clean = {column.judged for column in evaluation.columns if column.family == CLEAN}
    for column in evaluation.columns:
        if column.judged not in clean or evaluation.model not in clean:
            raise ValueError("column: a judged model has no column of clean images")
        tried = [evaluation.trial(column, defense) for defense in evaluation.defenses]
        if not any(tried) or (column.family == CLEAN and not all(tried)):
            raise ValueError(f"trial: those of {column.attack} are missing")
