"""Dictionaries that cannot be used: one exact line on stderr, exit code 2, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from rsparse.store.checksums import append_checksum
from rsparse.store.images import encode_png
from tests.conftest import make_picture


def spoiled(path: Path, change) -> None:
    with h5py.File(path, "a") as file:
        change(file)
    append_checksum(path)


def with_atoms(atoms: np.ndarray, **attributes: object):
    def change(file: h5py.File) -> None:
        kept = {**file["atoms"].attrs, **attributes}
        del file["atoms"]
        dataset = file.create_dataset("atoms", data=atoms)
        for key, value in kept.items():
            if value is not None:
                dataset.attrs[key] = value

    return change


def with_record(**change: object):
    def rewrite(file: h5py.File) -> None:
        file.attrs["record"] = json.dumps({**json.loads(file.attrs["record"]), **change})

    return rewrite


UNIT = np.eye(48, dtype=np.float32)
DAMAGED = "is damaged or incomplete: "


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.pop("record"), "is not an rsparse artifact"),
        (with_record(format="rsparse-activations"),
         "expected rsparse-dictionary, got rsparse-activations"),
        (with_record(format_version=4),
         "rsparse-dictionary version 4 is newer than this rsparse reads (3); upgrade rsparse"),
        (with_record(stage=None), DAMAGED + "its record lacks required keys"),
        (lambda file: file.pop("atoms"), DAMAGED + "the dataset atoms is missing"),
        (with_atoms(UNIT, patch_size=8),
         "dictionary: expected atoms of 192 numbers for colour patches of 8×8, "
         "got an array of shape (48, 48)"),
        (with_atoms(UNIT, color=False),
         "dictionary: expected atoms of 16 numbers for grey patches of 4×4, "
         "got an array of shape (48, 48)"),
        (with_atoms(UNIT, patch_size=-4), "dictionary: expected a patch size of 1 or more, got -4"),
        (with_atoms(UNIT, patch_size="4"),
         DAMAGED + "atoms: its attribute patch_size is invalid: 4"),
        (with_atoms(UNIT, color=[True, True]),
         DAMAGED + "atoms: its attribute color is invalid: [ True True]"),
        (with_atoms(UNIT * np.nan), "dictionary: contains numbers that are not finite"),
        (with_atoms(UNIT.astype(float) * 1e300),
         "dictionary: contains numbers that are not finite"),
        (with_atoms(UNIT * np.float32(1e30)),
         "dictionary: expected atoms of norm 1, but atom 0 has norm inf"),
        (with_atoms(UNIT * 3), "dictionary: expected atoms of norm 1, but atom 0 has norm 3"),
        (with_atoms(UNIT.astype(int)),
         DAMAGED + "atoms: expected 2-d floating-point numbers, got 2-d int64"),
        (with_atoms(UNIT.astype(complex)),
         DAMAGED + "atoms: expected 2-d floating-point numbers, got 2-d complex128"),
        (with_atoms(UNIT[0]),
         DAMAGED + "atoms: expected 2-d floating-point numbers, got 1-d float32"),
        (with_atoms(UNIT.astype("S4")),
         DAMAGED + "atoms: expected 2-d floating-point numbers, got 2-d |S4"),
        (lambda file: (file.move("atoms", "x"), file.update({"atoms": h5py.SoftLink("/x")})),
         DAMAGED + "atoms is not a dataset in this file itself"),
        (lambda file: (file.pop("atoms"),
                       file.update({"atoms": h5py.ExternalLink("other.h5", "/atoms")})),
         DAMAGED + "atoms is not a dataset in this file itself"),
    ],
)  # fmt: skip
def test_dictionaries_that_cannot_be_used(
    assert_error, pictures, dict_file, tmp_path, change, message
):
    spoiled(dict_file, change)
    out = tmp_path / "out"
    assert_error(f"{dict_file}: {message}", "purify", pictures, "--dict", dict_file, "-o", out)
    assert not out.exists()


def test_an_attribute_that_is_missing(assert_error, pictures, dict_file, tmp_path):
    spoiled(dict_file, lambda file: file["atoms"].attrs.pop("normalize"))
    assert_error(
        f"{dict_file}: is damaged or incomplete: the attribute normalize of atoms is missing",
        "purify", pictures, "--dict", dict_file, "-o", tmp_path / "out",
    )  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"words", encode_png(make_picture(0))])
@pytest.mark.parametrize("arguments", [("purify", "imgs", "--dict"), ("show",)])
def test_what_is_no_hdf5_file(assert_error, pictures, monkeypatch, content, arguments):
    monkeypatch.chdir(pictures.parent)
    Path("x.h5").write_bytes(content)
    assert_error("x.h5: is not an HDF5 file", *arguments, "x.h5")
    assert_error("gone.h5: no such file", *arguments, "gone.h5")


def test_a_truncated_dictionary(run_cli, pictures, dict_file):
    whole = dict_file.read_bytes()
    dict_file.write_bytes(whole[: len(whole) // 2])
    result = run_cli("purify", pictures, "--dict", dict_file)
    assert result.exit_code == 2
    expected = f"rsparse: error: {dict_file}: is damaged or incomplete; make it again\n"
    assert result.stderr == expected
    assert not pictures.with_name("imgs-purified").exists()
