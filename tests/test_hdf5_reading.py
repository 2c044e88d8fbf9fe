"""Damaged and malicious HDF5 files."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from rsparse.core.dictionary import Dictionary
from rsparse.errors import InputError
from rsparse.store import hdf5_safety
from rsparse.store.checksums import append_checksum
from rsparse.store.dictionaries import load_dictionary, load_old_levels, save_dictionary
from rsparse.store.hdf5 import create_hdf5, utf8
from rsparse.store.hdf5_reading import open_hdf5, read_array, read_texts
from rsparse.store.records import DICTIONARY, PREDICTIONS, Record
from tests.refusals import refused

RECORD = Record(DICTIONARY, "learn-dict", {"n_atoms": 4}, 7)


def with_texts(path: Path) -> Path:
    with create_hdf5(path, RECORD) as file:
        group = file.create_group("group")
        group["names"] = utf8(["ü", "", "[b]" * 30])
    return path


def test_texts_come_back(tmp_path):
    with open_hdf5(with_texts(tmp_path / "x.h5")) as (file, _):
        assert read_texts(file, "group/names") == ["ü", "", "[b]" * 30]
        assert read_texts(file, "group/names", 3)[0] == "ü"
        with pytest.raises(ValueError, match="group/names: expected the shape 2, got 3"):
            read_texts(file, "group/names", 2)


def test_files_have_nothing_that_libhdf5_follows(tmp_path, monkeypatch):
    path = with_texts(tmp_path / "x.h5")
    monkeypatch.setattr(hdf5_safety, "_read_elsewhere", lambda path, seconds: pytest.fail("trial"))
    with open_hdf5(path) as (_, record):
        assert record["stage"] == "learn-dict"


def with_a_heap(path: Path, text: str) -> Path:
    """A file with a checksum and a structure that libhdf5 follows."""
    with h5py.File(path, "w") as file:
        file.attrs["record"] = json.dumps(RECORD.as_json())
        file["names"] = np.array([text], h5py.string_dtype())
    append_checksum(path)
    return path


def test_a_content_is_tried_once_in_a_process(tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(hdf5_safety, "_READ", set())
    monkeypatch.setattr(hdf5_safety, "_read_elsewhere", lambda path, seconds: tried.append(path))
    first, other = (with_a_heap(tmp_path / f"{text}.h5", text) for text in "ab")
    copy = tmp_path / "copy.h5"
    copy.write_bytes(first.read_bytes())
    for path in (first, first, copy, other, first):
        assert hdf5_safety.refuse_unsafe(path)
    assert tried == [first, other]


def test_a_content_that_was_refused_is_tried_again(tmp_path, monkeypatch):
    def refuse(path, seconds):
        tried.append(path)
        raise InputError("no")

    tried: list[Path] = []
    monkeypatch.setattr(hdf5_safety, "_READ", set())
    monkeypatch.setattr(hdf5_safety, "_read_elsewhere", refuse)
    path = with_a_heap(tmp_path / "x.h5", "a")
    for _ in range(2):
        with pytest.raises(InputError):
            hdf5_safety.refuse_unsafe(path)
    assert tried == [path, path]


def test_every_changed_byte_is_noticed(tmp_path):
    path = with_texts(tmp_path / "x.h5")
    whole = path.read_bytes()
    for place in [*range(0, len(whole), len(whole) // 25), len(whole) - 75, len(whole) - 1]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(InputError, match=r"is damaged: |is not an HDF5 file"):
            with open_hdf5(path):
                pass


def endless(path: Path) -> Path:
    """A file with a heap that libhdf5 reads forever."""
    with h5py.File(path, "w") as file:
        file.attrs["record"] = json.dumps(RECORD.as_json())
        file["names"] = np.array(["a"], h5py.string_dtype())
    content = bytearray(path.read_bytes())
    place = content.find(b"GCOL") + 16
    content[place + 8 : place + 16] = (2**64 - 16).to_bytes(8, "little")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("sealed", [True, False])
def test_a_file_that_libhdf5_reads_for_ever_is_refused(tmp_path, monkeypatch, sealed):
    path = endless(tmp_path / "x.h5")
    if sealed:
        append_checksum(path)
    monkeypatch.setattr(hdf5_safety, "SECONDS", 2)
    start = time.perf_counter()
    with refused(f"{path}: is damaged: libhdf5 was still reading it after 2 s"):
        with open_hdf5(path):
            pass
    assert time.perf_counter() - start < 10


def test_a_file_without_checksum_is_refused_unless_it_is_a_dictionary(tmp_path):
    path = tmp_path / "x.h5"
    with create_hdf5(path, Record(PREDICTIONS, "classify", {})) as file:
        file["name"] = utf8(["a"])
    with h5py.File(path, "a") as file:
        file.attrs["mine"] = 1
    with refused(f"{path}: has no checksum, so it was changed; make it again"), open_hdf5(path):
        pass


SECRET = "a secret of this machine"


def elsewhere(file: h5py.File, folder: Path) -> None:
    secret = folder / "secret"
    secret.write_text(SECRET)
    file["group"].create_dataset("names", (1,), f"S{len(SECRET)}", external=[(secret, 0, 24)])


def linked(file: h5py.File, folder: Path) -> None:
    other(folder)
    file["group"]["names"] = h5py.ExternalLink("other.h5", "/group/names")


def linked_group(file: h5py.File, folder: Path) -> None:
    other(folder)
    del file["group"]
    file["group"] = h5py.ExternalLink("other.h5", "/group")


def linked_softly(file: h5py.File, folder: Path) -> None:
    other(folder)
    file["way"] = h5py.ExternalLink("other.h5", "/")
    del file["group"]
    file["group"] = h5py.SoftLink("/way/group")


def virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((1,), f"S{len(SECRET)}")
    layout[:] = h5py.VirtualSource(other(folder), "group/names", (1,), f"S{len(SECRET)}")
    file["group"].create_virtual_dataset("names", layout)


def other(folder: Path) -> Path:
    path = folder / "other.h5"
    with h5py.File(path, "w") as file:
        file["group/names"] = np.array([SECRET.encode()])
    return path


@pytest.mark.parametrize("spoil", [elsewhere, linked, linked_group, linked_softly, virtual])
@pytest.mark.parametrize("kind", "Sf")
def test_nothing_outside_the_file_is_read(tmp_path, spoil, kind):
    path = with_texts(tmp_path / "x.h5")
    with h5py.File(path, "a") as file:
        del file["group/names"]
        spoil(file, tmp_path)
    append_checksum(path)
    with refused(
        f"{path}: is damaged or incomplete: group/names is not a dataset in this file itself"
    ):
        with open_hdf5(path) as (file, _):
            read_array(file, "group/names", kind, (None,))


def test_linked_levels_of_an_old_dictionary_are_not_followed(dict_file, tmp_path):
    with h5py.File(dict_file, "a") as file:
        record = {**json.loads(file.attrs["record"]), "format_version": 1}
        file.attrs["record"] = json.dumps(record)
        file["levels"] = h5py.ExternalLink("other.h5", "/levels")
    with refused(
        f"{dict_file}: is damaged or incomplete: levels is not a dataset in this file itself"
    ):
        load_old_levels(dict_file)


def test_a_compressed_dictionary_is_read(tmp_path, dict_file, small_dictionary: Dictionary):
    with h5py.File(dict_file, "a") as file:
        kept = dict(file["atoms"].attrs)
        del file["atoms"]
        file.create_dataset("atoms", data=small_dictionary.atoms, compression="gzip", shuffle=True)
        file["atoms"].attrs.update(kept)
    loaded, _ = load_dictionary(dict_file)
    assert (loaded.atoms == small_dictionary.atoms).all()


@pytest.mark.parametrize(
    ("shape", "chunks", "message"),
    [
        ((10**6, 10**6), (1000, 1000), "claims 4000000000000 bytes, which its file cannot hold"),
        ((100, 100), (10, 10), "some of its values are missing"),
    ],
)
def test_a_compressed_dataset_cannot_claim_more_than_it_has(dict_file, shape, chunks, message):
    with h5py.File(dict_file, "a") as file:
        del file["atoms"]
        file.create_dataset("atoms", shape, "f4", chunks=chunks, compression="gzip")
    append_checksum(dict_file)
    with refused(f"{dict_file}: is damaged or incomplete: atoms: {message}"):
        load_dictionary(dict_file)


def test_a_dictionary_of_version_2_is_read(tmp_path, small_dictionary: Dictionary):
    """It has variable-length strings and no checksum."""
    path = tmp_path / "dict.h5"
    save_dictionary(path, RECORD, small_dictionary, {}, {"a": "ab" * 32})
    with h5py.File(path, "a") as file:
        record = {**RECORD.as_json(), "format_version": 2}
        file.attrs["record"] = json.dumps(record)
        del file["images/name"]
        file["images/name"] = np.array(["a"], h5py.string_dtype())
    loaded, read = load_dictionary(path)
    assert read == record
    assert (loaded.atoms == small_dictionary.atoms).all()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, the time limit ends it")
def test_the_reading_process_ends_with_its_parent(tmp_path):
    path = endless(tmp_path / "x.h5")
    with subprocess.Popen([sys.executable, "-m", "rsparse", "show", path]) as parent:
        wait_for(lambda: children_of(parent.pid))
        (child,) = children_of(parent.pid)
        time.sleep(0.5)  # until it is reading
        parent.kill()
    wait_for(lambda: not Path(f"/proc/{child}").exists())


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def wait_for(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
