"""Records, and the HDF5 files that carry one."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from rsparse import __version__
from rsparse.errors import InputError
from rsparse.store.checksums import append_checksum
from rsparse.store.hdf5 import create_hdf5, utf8
from rsparse.store.hdf5_reading import open_hdf5, read_array
from rsparse.store.records import (
    ACTIVATIONS,
    DICTIONARY,
    FORMAT_VERSIONS,
    IMAGES,
    Record,
    Source,
    check_record,
)
from tests.refusals import refused

PATH = Path("out/x.h5")
PLAIN = Record(DICTIONARY, "learn-dict", {"n_atoms": 4}, 7, (Source("imgs", "ab" * 32),))
NESTED = Record(IMAGES, "purify", {}, inputs=(Source("d.h5", "cd" * 32, PLAIN.as_json()),))


def test_a_record_tells_what_made_it_from_what():
    assert NESTED.as_json() == {
        "format": "rsparse-images",
        "format_version": 2,
        "generator": f"rsparse {__version__}",
        "stage": "purify",
        "method": 1,
        "parameters": {},
        "seed": None,
        "inputs": [
            {
                "name": "d.h5",
                "sha256": "cd" * 32,
                "record": {
                    "format": "rsparse-dictionary",
                    "format_version": 3,
                    "generator": f"rsparse {__version__}",
                    "stage": "learn-dict",
                    "method": 1,
                    "parameters": {"n_atoms": 4},
                    "seed": 7,
                    "inputs": [{"name": "imgs", "sha256": "ab" * 32, "record": None}],
                },
            }
        ],
    }


@pytest.mark.parametrize("format_name", FORMAT_VERSIONS)
def test_a_record_of_ours_is_taken(format_name):
    record = Record(format_name, "stage", {}).as_json()
    assert check_record(record, PATH) == record
    assert check_record(record, PATH, format_name) == record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "png"}, "is not an rsparse artifact"),
        ({"format": None}, "is not an rsparse artifact"),
        ({"format": ["rsparse-images"]}, "is not an rsparse artifact"),
        ({"format": {}}, "is not an rsparse artifact"),
        ({"format_version": None}, "has no valid format version"),
        ({"format_version": "1"}, "has no valid format version"),
        ({"format_version": 0}, "has no valid format version"),
        ({"format_version": 3}, "rsparse-images version 3 is newer than this rsparse reads (2); "
                                "upgrade rsparse"),
        ({"format_version": 1},
         "was written by an older rsparse; make it again with 'rsparse purify'"),
        ({"format_version": 1, "stage": "select"},
         "was written by an older rsparse; make it again with 'rsparse evaluate --overwrite'"),
        ({"method": "1"}, "is damaged or incomplete: its record lacks required keys"),
        ({"stage": None}, "is damaged or incomplete: its record lacks required keys"),
        ({"generator": 3}, "is damaged or incomplete: its record lacks required keys"),
        ({"parameters": []}, "is damaged or incomplete: its record lacks required keys"),
        ({"inputs": None}, "is damaged or incomplete: its record lacks required keys"),
        ({"inputs": [{}]}, "is damaged or incomplete: its record lacks required keys"),
        ({"inputs": [{"name": "a", "sha256": "b", "record": {}}]},
         "is damaged or incomplete: its record lacks required keys"),
    ],
)  # fmt: skip
def test_other_records_are_refused(change, message):
    with refused(f"{PATH}: {message}"):
        check_record({**NESTED.as_json(), **change}, PATH)


@pytest.mark.parametrize("format_name", [f for f, number in FORMAT_VERSIONS.items() if number > 1])
def test_only_dictionaries_of_an_older_version_are_read(format_name):
    """They lack the method, and so do the records of inputs made with them."""
    old = {**Record(format_name, "learn-dict", {}).as_json(), "format_version": 1}
    del old["method"]
    if format_name == DICTIONARY:
        assert check_record(old, PATH) == old
        nested = Record(IMAGES, "purify", {}, None, (Source("d.h5", "cd" * 32, old),)).as_json()
        assert check_record(nested, PATH) == nested
    else:
        with refused(
            f"{PATH}: was written by an older rsparse; make it again with 'rsparse learn-dict'"
        ):
            check_record(old, PATH)


@pytest.mark.parametrize("record", [None, [], "rsparse-images", 3])
def test_what_is_no_record_is_refused(record):
    with refused(f"{PATH}: is not an rsparse artifact"):
        check_record(record, PATH)


def test_another_format_than_expected_is_refused():
    with refused(f"{PATH}: expected rsparse-activations, got rsparse-images"):
        check_record(NESTED.as_json(), PATH, ACTIVATIONS)


def write(path: Path, record: Record = PLAIN) -> None:
    with create_hdf5(path, record) as file:
        file["numbers"] = np.arange(6, dtype=np.float32).reshape(2, 3)
        group = file.create_group("group")
        group["names"] = utf8(["ü", "[b]"])


def test_hdf5_comes_back(tmp_path):
    write(tmp_path / "x.h5", NESTED)
    with h5py.File(tmp_path / "x.h5") as file:
        assert file.attrs["format"] == b"rsparse-images"
        assert file.attrs["format_version"] == 2
    with open_hdf5(tmp_path / "x.h5", IMAGES) as (file, record):
        assert record == NESTED.as_json()
        assert read_array(file, "numbers", "f", (None, None)).tolist() == [[0, 1, 2], [3, 4, 5]]
        assert [name.decode() for name in file["group/names"]] == ["ü", "[b]"]


def test_equal_contents_give_equal_bytes(tmp_path, monkeypatch):
    write(tmp_path / "a.h5")
    monkeypatch.setattr("time.time", lambda: 4_000_000_000.0)
    write(tmp_path / "sub/b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "sub/b.h5").read_bytes()


def test_a_failing_block_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), create_hdf5(tmp_path / "x.h5", PLAIN):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.pop("numbers"), "the dataset numbers is missing"),
        (lambda file: (file.pop("numbers"), file.create_group("numbers")),
         "numbers is not a dataset in this file itself"),
        (lambda file: (file.move("numbers", "n"), file.update({"numbers": h5py.SoftLink("/n")})),
         "numbers is not a dataset in this file itself"),
        (lambda file: (file.pop("numbers"),
                       file.update({"numbers": h5py.ExternalLink("other.h5", "n")})),
         "numbers is not a dataset in this file itself"),
        (lambda file: (file.pop("numbers"), file.create_dataset(
            "numbers", (2, 3), "f4", external=[("/etc/passwd", 0, 24)])),
         "numbers is not a dataset in this file itself"),
        (lambda file: (file.pop("numbers"), file.create_dataset("numbers", data=[[1, 2]])),
         "numbers: expected 2-d floating-point numbers, got 2-d int64"),
        (lambda file: (file.pop("numbers"), file.create_dataset("numbers", data=[1.0, 2])),
         "numbers: expected 2-d floating-point numbers, got 1-d float64"),
        (lambda file: (file.pop("numbers"), file.create_dataset(
            "numbers", (10**6, 10**6), "f4", chunks=(100, 100))),
         "numbers: claims 4000000000000 bytes, which its file cannot hold"),
    ],
    ids=["missing", "group", "soft", "external", "elsewhere", "whole", "flat", "claims"],
)  # fmt: skip
def test_arrays_that_are_not_as_expected_are_refused(tmp_path, spoil, message):
    path = tmp_path / "x.h5"
    write(path)
    with h5py.File(path, "a") as file:
        spoil(file)
    append_checksum(path)
    with refused(f"{path}: is damaged or incomplete: {message}"), open_hdf5(path) as (file, _):
        read_array(file, "numbers", "f", (None, None))


@pytest.mark.parametrize("record", [None, 7, "{", "[]", b"{}"])
def test_hdf5_of_others_is_refused(tmp_path, record):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        if record is not None:
            file.attrs["record"] = record
    with refused(f"{path}: is not an rsparse artifact"), open_hdf5(path):
        pass


def test_what_is_no_hdf5_is_refused(tmp_path):
    path = tmp_path / "x.h5"
    with refused(f"{path}: no such file"), open_hdf5(path):
        pass
    with refused(f"{tmp_path}: is a folder, not an HDF5 file"), open_hdf5(tmp_path):
        pass
    for content in (b"", b"text", b"\x89HDF\r\n\x1a"):
        path.write_bytes(content)
        with refused(f"{path}: is not an HDF5 file"), open_hdf5(path):
            pass
    with refused("/dev/null: is not an HDF5 file"), open_hdf5(Path("/dev/null")):
        pass
    path.unlink()
    path.symlink_to(tmp_path / "gone")
    with refused(f"{path}: no such file"), open_hdf5(path):
        pass


def test_truncated_hdf5_is_refused(tmp_path):
    path = tmp_path / "x.h5"
    write(path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 100, len(whole) // 4):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=rf"\A{path}: is (not an HDF5 file|damaged or )"):
            with open_hdf5(path) as (file, _):
                read_array(file, "numbers", "f", (None, None))
