"""An inconsistent ``evaluation.h5`` is refused, even if its checksum is right."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from rsparse.evaluation.files import save_evaluation
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.timing import TIMING_FILE, load_timing
from rsparse.store import hdf5_safety
from rsparse.store.checksums import append_checksum
from rsparse.store.records import EVALUATION, Record
from tests.evaluations import make_evaluation
from tests.refusals import refused

N = 4


def put(name: str, values: object):
    def change(file: h5py.File) -> None:
        kept = file[name][()]
        del file[name]
        file[name] = values(kept) if callable(values) else np.array(values)

    return change


def first(value: object):
    """Replace the first value."""

    def change(kept: np.ndarray) -> np.ndarray:
        if isinstance(value, bytes):
            kept = kept.astype(f"S{max(kept.dtype.itemsize, len(value))}")
        kept[(0,) * kept.ndim] = value
        return kept

    return change


def strength(value: float):
    """Replace the strength of the last attack."""

    def change(kept: np.ndarray) -> np.ndarray:
        kept[-1] = value
        return kept

    return change


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that contradicts itself nowhere."""
    folder = tmp_path_factory.mktemp("saved")
    return save_evaluation(folder, Record(EVALUATION, "evaluate", {}), make_evaluation(N))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("label", first(10**6)), "label: expected numbers from 0 to 4"),
        (put("label", first(-1)), "label: expected numbers from 0 to 4"),
        (put("label", lambda kept: kept[1:]), "label: expected the shape 4, got 3"),
        (put("name", lambda kept: kept[[0, 0, 1, 2]]), "name: contains a value twice"),
        (put("name", lambda kept: kept[:0]), "name: is empty"),
        (put("name", first(b"\xff")),
         "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (put("class_name", lambda kept: kept[:2]), "label: expected numbers from 0 to 1"),
        (put("column/source", lambda kept: kept[1:]), None),
        (put("column/change/d", lambda kept: kept[:, 1:]), None),
        (put("column/change/linf", first(-1.0)),
         "column/change/linf: expected numbers from 0 to 255.0"),
        (put("column/change/linf", first(np.inf)),
         "column/change/linf: expected numbers from 0 to 255.0"),
        (put("column/change/l2", first(np.inf)), None),
        (put("column/change/d", first(np.nan)), "column/change/d: expected numbers from 0 to inf"),
        (put("column/attack/strength", strength(np.inf)),
         "column/attack/strength: expected a finite number of 0 or more, got inf"),
        (put("column/attack/strength", strength(np.nan)),
         "column/attack/strength: expected a finite number of 0 or more, got nan"),
        (put("column/attack/strength", strength(-1)),
         "column/attack/strength: expected a finite number of 0 or more, got -1.0"),
        (put("column/attack/strength", first(3.0)),
         "column/attack/strength: expected NaN without a strength_name, got 3.0"),
        (put("column/attack/parameters", first(b'{"steps": Infinity}')),
         "column/attack/parameters: expected finite numbers, got Infinity"),
        (put("column/attack/parameters", first(b'{"steps": -1e999}')),
         "column/attack/parameters: expected finite numbers, got -1e999"),
        (put("defense/parameters", first(b'{"theta": NaN}')),
         "defense/parameters: expected finite numbers, got NaN"),
        (lambda file: file.attrs.update(left_out=-1), "the attribute left_out is invalid: -1"),
        (put("column/attack/parameters", first(b"[]")),
         "column/attack/parameters: expected JSON objects"),
        (put("column/attack/parameters", first(b"[" * 5000)), None),
        (put("column/attack/text", lambda kept: kept[[0, 1, 1, *range(3, len(kept))]]), None),
        (put("column/judged", first(b"another")),
         "column: a judged model has no column of clean images"),
        (put("defense/kind", lambda kept: kept[1:]), None),
        (put("trial/prediction", first(5)), "trial/prediction: expected numbers from -1 to 4"),
        (put("trial/probability", first(np.nan)), None),
        (put("trial/defense", lambda kept: np.zeros_like(kept)), "trial: contains a value twice"),
        (put("check/outcome", first(b"maybe")), None),
        (put("check/name", lambda kept: kept[1:]), None),
        (lambda file: file.attrs.pop("model"), "the attribute model is missing"),
        (lambda file: file.attrs.update(left_out="many"),
         "the attribute left_out is invalid: many"),
        (lambda file: (file.pop("name"),
                       file.create_dataset("name", (10**12,), "S100", chunks=(10**6,))),
         "name: claims 100000000000000 bytes, which its file cannot hold"),
    ],
)  # fmt: skip
def test_what_contradicts_itself(
    tmp_path: Path, monkeypatch, saved: Path, change, message: str | None
) -> None:
    monkeypatch.setattr(hdf5_safety, "_read_elsewhere", lambda path, seconds: None)
    path = Path(shutil.copy(saved, tmp_path))
    with h5py.File(path, "r+") as file:
        change(file)
    append_checksum(path)
    if message is None:
        with pytest.raises(Exception, match=r"evaluation.h5: is damaged or incomplete") as caught:
            load_evaluation(tmp_path)
        assert "\n" not in str(caught.value)
    else:
        with refused(f"{path}: is damaged or incomplete: {message}"):
            load_evaluation(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", '{"seconds_an_image": 3}', '{"seconds_an_image": {"a": "b"}}',
     '{"seconds_an_image": {"a": -1}}', '{"seconds_an_image": {"a": NaN}}',
     '{"seconds_an_image": {"a": 1' + "0" * 400 + "}}"],
)  # fmt: skip
def test_damaged_timing_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / TIMING_FILE
    path.write_text(text)
    with refused(f"{path}: is damaged; remove it"):
        load_timing(tmp_path)
