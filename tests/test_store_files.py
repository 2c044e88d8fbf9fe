"""Files are written completely or not at all, and names are not trusted."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from rsparse.errors import InputError
from rsparse.store import files as files_module
from rsparse.store.files import (
    atomic_path,
    read_bytes,
    refuse_existing,
    safe_join,
    sha256_of,
    sha256_of_file,
    write_atomic,
)
from tests.refusals import fails, refused


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_digests(tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "f").write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert sha256_of(content) == sha256_of_file(tmp_path / "f") == expected


@pytest.mark.parametrize("read", [read_bytes, sha256_of_file])
def test_what_cannot_be_read_says_why(tmp_path, read):
    with refused(f"{tmp_path / 'gone'}: cannot be read: no such file or directory"):
        read(tmp_path / "gone")
    with refused(f"{tmp_path}: cannot be read: is a folder; name a file"):
        read(tmp_path)


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("name", ["f.png", "ü [x]\n.png", "x" * 251 + ".png"])
def test_a_file_and_its_folders_are_made_and_nothing_else(tmp_path, durable, name):
    write_atomic(tmp_path / "a/b" / name, b"1", durable=durable)
    assert (tmp_path / "a/b" / name).read_bytes() == b"1"
    write_atomic(tmp_path / "a/b" / name, b"22", durable=durable)
    assert (tmp_path / "a/b" / name).read_bytes() == b"22"
    assert contents(tmp_path) == sorted(["a", "b", name])


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, InputError])
def test_a_failing_block_leaves_the_old_file(tmp_path, failure):
    write_atomic(tmp_path / "f", b"old")

    def fail() -> None:
        with atomic_path(tmp_path / "f") as temporary:
            temporary.write_bytes(b"half")
            raise failure

    with pytest.raises(failure):
        fail()
    assert (tmp_path / "f").read_bytes() == b"old"
    assert contents(tmp_path) == ["f"]


def test_the_place_is_taken_only_when_all_is_written_and_synced(tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(os, "fsync", lambda number: steps.append("sync"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("replace"), replace(*paths)))
    with atomic_path(tmp_path / "f") as temporary:
        temporary.write_bytes(b"1")
        assert not (tmp_path / "f").exists()
        assert temporary.parent == tmp_path
    assert steps == ["sync", "replace", "sync"]  # the file, then its folder
    write_atomic(tmp_path / "g", b"1", durable=False)
    assert steps == ["sync", "replace", "sync", "replace"]


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files_module.os, "fsync", full)
    with fails(f"{tmp_path / 'f'}: cannot be written: no space left on device"):
        write_atomic(tmp_path / "f", b"1")
    assert contents(tmp_path) == []


def test_below_a_file_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"/file/f: cannot be written: (not a d|file exists)"):
        write_atomic(tmp_path / "file/f", b"1")
    with refused(f"{tmp_path / 'file/f'}: cannot be written: file is not a folder"):
        refuse_existing(tmp_path / "file/f", overwrite=True)


def test_what_a_killed_process_leaves_is_removed_by_the_next(tmp_path):
    with atomic_path(tmp_path / "sub/f.png") as used:
        left = used.with_name(".0123456789abcdef.77.tmp")
        left.write_bytes(b"half")
        folder = used.with_name(".0123456789abcdef.78.tmp")
        (folder / "data").mkdir(parents=True)
        own = [".hidden.tmp", ".0123456789abcdef.tmp", "x.0123456789abcdef.1.tmp"]
        for mine in own:
            (tmp_path / mine).write_bytes(b"")
            (tmp_path / "sub" / mine).write_bytes(b"")
        refuse_existing(tmp_path / "g.png", overwrite=False)
        assert left.exists()  # it is in another folder
        refuse_existing(tmp_path / "sub/g.png", overwrite=False)
        assert contents(tmp_path / "sub") == sorted([*own, used.name])
        used.write_bytes(b"whole")
    assert contents(tmp_path / "sub") == sorted([*own, "f.png"])


def test_an_existing_output_is_refused_unless_overwritten(tmp_path):
    path = tmp_path / "dict.h5"
    refuse_existing(path, overwrite=False)
    path.write_bytes(b"")
    with refused(f"{path}: exists; choose another output or pass --overwrite"):
        refuse_existing(path, overwrite=False)
    refuse_existing(path, overwrite=True)


@pytest.mark.parametrize("overwrite", [True, False])
def test_folders_and_devices_are_never_replaced(tmp_path, overwrite):
    with refused(f"{tmp_path}: is a folder; name a file"):
        refuse_existing(tmp_path, overwrite)
    with refused("/dev/null: is not a regular file; name another file"):
        refuse_existing(Path("/dev/null"), overwrite)


def test_an_impossible_output_is_refused_before_the_work(tmp_path):
    path = tmp_path / ("x" * 300)
    with refused(f"{path}: cannot be written: file name too long"):
        refuse_existing(path, overwrite=False)


@pytest.mark.parametrize("name", ["a.png", "sub/a.png", "..a.png", "a/../b.png", "ü\n.png"])
def test_names_inside_a_folder_are_joined(tmp_path, name):
    assert safe_join(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize("name", ["", "..", "../x", "sub/../../x", "/etc/passwd", "a\0b", "link/x"])
def test_names_that_leave_a_folder_are_refused(tmp_path, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with refused(f"{folder}: refers to a file outside itself: {name!r}"):
        safe_join(folder, name)
