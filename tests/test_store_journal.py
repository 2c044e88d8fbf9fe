"""The journal: items in it are not done again, truncated entries are."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from rsparse.errors import InputError
from rsparse.store.journal import Journal
from rsparse.store.journal_lock import refuse_running
from rsparse.store.lines import from_checked_line, to_checked_line, to_line
from tests.refusals import fails, refused

RUN = {"stage": "purify", "parameters": {"stride": 2, "feather": 2.0}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "journal"


@pytest.fixture
def start():
    """A function that opens journals and closes them after the test."""
    opened = []

    def open_journal(path: Path, run: dict = RUN) -> Journal:
        opened.append(Journal.open(path, run, path.parent))
        return opened[-1]

    yield open_journal
    for journal in opened:
        journal.close()


def names(journal: Journal) -> list[str]:
    return [entry["name"] for entry in journal.entries()]


def extend(journal: Journal, *names: str) -> None:
    journal.extend(names, b"".join(to_checked_line({"name": name}) for name in names))


@pytest.mark.parametrize(
    "groups",
    [
        [("a", "b"), ("e", "f"), ("c", "d")],
        [("e",), ("a", "d", "f"), (), ("b", "c")],
        [("f", "e", "d"), ("a", "b", "c")],
        [("a", "b", "c", "d"), ("d", "e", "f"), ("a",)],
    ],
    ids=["apart", "mixed", "unsorted", "twice"],
)
def test_entries_that_are_added_in_groups_are_sorted_by_name(path, start, groups):
    journal = start(path)
    for group in groups:
        extend(journal, *group)
    both = zip(journal.entries(), journal.entries(), strict=True)
    assert [(one["name"], other["name"]) for one, other in both] == [(n, n) for n in "abcdef"]
    assert "a" in journal
    assert journal["f"] == {"name": "f"}
    assert len(journal) == 6
    journal.drop("b")
    journal.add({"name": "c", "value": 1})
    extend(journal, "g", "h")
    assert names(journal) == list("acdefgh")
    assert journal["c"] == {"name": "c", "value": 1}
    journal.close()
    assert names(start(path)) == list("abcdefgh")


def test_a_long_run_in_large_groups_takes_hardly_any_memory(path, start):
    journal = start(path)
    tracemalloc.start()
    for first in range(0, 10_000, 500):
        extend(journal, *(f"{number:06d}" for number in range(first, first + 500)))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(journal) == sum(1 for _ in journal.texts()) == 10_000
    assert taken / 10_000 < 2


def test_entries_are_kept_sorted_by_name(path, start):
    journal = start(path)
    for name in ("b", "a", "ü/[c]\n", "10"):
        journal.add({"name": name, "value": name * 2})
    assert names(journal) == ["10", "a", "b", "ü/[c]\n"]
    assert "b" in journal
    assert "z" not in journal
    assert journal["b"]["value"] == "bb"
    assert len(journal) == 4
    journal.close()
    again = start(path)
    assert names(again) == ["10", "a", "b", "ü/[c]\n"]
    again.add({"name": "c"})
    again.close()
    assert len(start(path)) == 5


def test_the_last_entry_of_a_name_counts_and_dropped_ones_do_not(path, start):
    journal = start(path)
    journal.add({"name": "a", "value": 1})
    journal.add({"name": "b", "value": 1})
    journal.add({"name": "a", "value": 2})
    assert journal["a"]["value"] == 2
    journal.drop("b")
    journal.drop("never there")
    assert names(journal) == ["a"]
    journal.close()
    again = start(path)
    assert again["a"]["value"] == 2


@pytest.mark.parametrize(
    "torn",
    [
        b'{"name": "c", "val',
        b"\0\0\0\0",
        b"[1]\n",
        b'{"name": "c"}\n',
        b"\xff\xfe\n",
        to_checked_line({"name": "c"})[:-1],
        to_checked_line({"name": "c"}).replace(b"c", b"d"),
        to_checked_line({"other": 1}),
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_torn_line_is_cut_off_and_the_rest_is_kept(path, start, torn):
    journal = start(path)
    journal.add({"name": "a"})
    journal.add({"name": "b"})
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    again = start(path)
    assert names(again) == ["a", "b"]
    again.close()
    assert path.read_bytes() == whole


def test_at_whatever_byte_it_is_torn_whole_entries_stay(path, start):
    journal = start(path)
    for name in ("a", "b"):
        journal.add({"name": name})
    journal.close()
    whole = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        journal = start(path)
        assert len(journal) == max(0, sum(end <= length for end in ends) - 1)
        journal.close()


def test_another_run_is_refused(path, start):
    start(path).close()
    for other in ({}, {**RUN, "stage": "localize"}, {**RUN, "parameters": {"stride": 1}}):
        with refused(
            f"{path.parent}: holds an unfinished run with other inputs or parameters; "
            "finish that run, or pass --overwrite to start again"
        ):
            start(path, other)
        assert not Journal.is_of(path, other)
    assert Journal.is_of(path, RUN)
    assert not Journal.is_of(path.parent / "gone", RUN)


def test_a_journal_in_use_is_locked(path, start):
    journal = start(path)
    message = f"{path.parent}: is being written by another run"
    with refused(message):
        start(path)
    with refused(message):
        refuse_running(path, path.parent)
    journal.close()
    refuse_running(path, path.parent)
    start(path).close()


def test_the_lock_holds_between_processes_and_ends_with_them(path, start):
    code = (
        "import sys, pathlib; from rsparse.store.journal import Journal\n"
        "path = pathlib.Path(sys.argv[1])\n"
        f"journal = Journal.open(path, {RUN!r}, path.parent)\n"
        "journal.add({'name': 'a'}); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"ready\n"
        with refused(f"{path.parent}: is being written by another run"):
            start(path)
        other.kill()
        other.wait()
        assert names(start(path)) == ["a"]


def test_a_finished_journal_is_removed(path, start):
    journal = start(path)
    journal.add({"name": "a"})
    journal.close(finished=True)
    assert not path.exists()


def test_it_cannot_be_written_below_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Exception, match=r"out: cannot be written: (not a directory|file exists)"):
        Journal.open(tmp_path / "file/journal", RUN, Path("out"))


def test_lines_are_sorted_utf8_json():
    assert to_line({"b": "ü", "a": 1}) == '{"a": 1, "b": "ü"}\n'.encode()


@pytest.mark.parametrize("value", [{}, {"name": "ü\n", "n": [1.5, None]}, {"a": {"b": "]"}}])
def test_a_line_with_a_checksum_is_read_back_only_if_unchanged(value):
    line = to_checked_line(value)
    assert from_checked_line(line) == value
    assert json.loads(line)[1] == value
    for place in range(len(line)):
        changed = line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]
        assert from_checked_line(changed) is None
        assert from_checked_line(line[:place]) is None


def test_an_edited_line_and_those_after_it_are_done_again(path, start):
    journal = start(path)
    for name in ("a", "b", "c"):
        journal.add({"name": name, "value": 1})
    journal.close()
    path.write_bytes(path.read_bytes().replace(b'"b", "value": 1', b'"b", "value": 2'))
    assert names(start(path)) == ["a"]


def test_a_journal_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "journal")
    with refused(f"{tmp_path}: cannot be written: its journal is not a file"):
        Journal.open(tmp_path / "journal", RUN, tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "journal")
    with pytest.raises(InputError, match="cannot be written: too many levels of symbolic links"):
        Journal.open(tmp_path / "link", RUN, tmp_path)


def test_a_full_disk_loses_only_the_line_that_did_not_fit(path, start, monkeypatch):
    journal = start(path)
    journal.add({"name": "a"})
    write = os.pwrite

    def full(descriptor, content, place):
        write(descriptor, content[:7], place)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with fails(f"{path}: cannot be written: no space left on device"):
        journal.add({"name": "b"})
    monkeypatch.undo()
    journal.close()
    again = start(path)
    assert names(again) == ["a"]
    again.add({"name": "b"})
    again.close()
    assert names(start(path)) == ["a", "b"]


def test_entries_after_a_damaged_line_are_written_again(path, start):
    """Entries read after the damaged line are not confused with entries written later."""
    journal = start(path)
    for name in "abc":
        journal.add({"name": name, "sha256": name * 64})
    journal.close()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"b" * 64, b"x" * 64))
    journal = start(path)
    assert "a" in journal
    assert "b" not in journal
    for name in "bcd":
        journal.add({"name": name, "sha256": name * 60})
    assert [entry["sha256"] for entry in journal.entries()] == [
        "a" * 64,
        "b" * 60,
        "c" * 60,
        "d" * 60,
    ]
