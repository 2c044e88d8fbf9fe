"""Several files appear together or not at all, wherever the process is killed."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from rsparse.errors import InputError, MachineError
from rsparse.store import syncing, temporaries
from rsparse.store.files import refuse_existing
from rsparse.store.folders import JOURNAL, MANIFEST, OutputFolder, is_finished, read_manifest
from rsparse.store.journal import Journal, journal_beside
from rsparse.store.lines import to_checked_line
from rsparse.store.outputs import AtomicFolder
from rsparse.store.pending import journal_of, settle
from rsparse.store.records import IMAGES, Record
from rsparse.store.together import appear_together
from rsparse.work.runs import save_png
from tests.conftest import make_picture, tree_of
from tests.killing import kill_at
from tests.refusals import fails

RUN = {"stage": "test"}


def killed_at_each_change(folder: Path, work: Callable[[], object]) -> int:
    """Run the work in a fork, killed at its first change, then its second, …; yield after each."""
    number = 0
    while True:
        number += 1
        child = os.fork()
        if child == 0:
            kill_at(number, str(folder), "KILL")
            work()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        yield number
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def write_both(folder: Path, content: bytes, *, overwrite: bool = True) -> None:
    main, record = folder / "p.csv", folder / "p.csv.json"
    refuse_existing(main, overwrite)
    refuse_existing(record, overwrite)
    with journal_beside(main, {**RUN, "content": content.decode()}, overwrite) as journal:
        journal.add({"name": "a"})
        with appear_together(main, journal) as members:
            members.write(record, content)
            members.write(main, content * 2)


@pytest.mark.parametrize("old", [None, b"old"])
def test_two_files_are_old_or_new_at_every_kill(tmp_path, old):
    seen = set()

    def work() -> None:
        write_both(tmp_path, b"new")

    if old:
        write_both(tmp_path, old)
    for _ in killed_at_each_change(tmp_path, work):
        settle(journal_of(tmp_path / "p.csv"))  # as every reader and every run does first
        tree = {name: text for name, text in tree_of(tmp_path).items() if name[0] != "."}
        seen.add(tree.get("p.csv"))
        main = tree.get("p.csv", b"")
        assert tree in ({}, {"p.csv": main, "p.csv.json": main[: len(main) // 2]})
        write_both(tmp_path, b"new")
        assert tree_of(tmp_path) == {"p.csv": b"newnew", "p.csv.json": b"new"}
        for path in tmp_path.iterdir():
            path.unlink()
        if old:
            write_both(tmp_path, old)
    assert seen == {old and old * 2, b"newnew"}


def test_a_failing_block_changes_nothing(tmp_path):
    write_both(tmp_path, b"old")
    before = tree_of(tmp_path)

    def fail() -> None:
        with appear_together(tmp_path / "p.csv") as members:
            members.write(tmp_path / "p.csv.json", b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert tree_of(tmp_path) == before


def test_a_rename_that_fails_is_made_by_the_next_run(tmp_path, monkeypatch):
    write_both(tmp_path, b"old")
    replace = os.replace

    def full(source: Path, place: Path) -> None:
        if Path(place).name == "p.csv":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, place)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MachineError, match="p.csv: cannot be written: no space left on device"):
        write_both(tmp_path, b"new")
    monkeypatch.undo()
    with pytest.raises(InputError, match="exists"):
        write_both(tmp_path, b"new", overwrite=False)
    assert tree_of(tmp_path) == {"p.csv": b"newnew", "p.csv.json": b"new"}


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_signal_around_the_promise_loses_nothing(tmp_path, monkeypatch, call):
    original = getattr(os, call)

    def interrupted(*arguments: object) -> None:
        original(*arguments)
        if b"renames" in journal_of(tmp_path / "p.csv").read_bytes():
            raise KeyboardInterrupt

    monkeypatch.setattr(os, call, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_both(tmp_path, b"new")
    monkeypatch.undo()
    write_both(tmp_path, b"new")
    assert tree_of(tmp_path) == {"p.csv": b"newnew", "p.csv.json": b"new"}


def test_a_promise_whose_temporaries_have_gone_is_void(tmp_path):
    out = tmp_path / "out"
    folder = OutputFolder.open(out, RUN, [], overwrite=False)
    folder.journal.add(save_png(out, "a", make_picture(1, 4, 4)))
    folder.journal.promise([(out / ".0123456789abcdef.7.tmp", out / MANIFEST)])
    folder.journal.close()
    assert not is_finished(out)
    again = OutputFolder.open(out, RUN, [], overwrite=False)
    assert len(again.journal) == 1
    again.finish(Record(IMAGES, "purify", {}), [])
    assert is_finished(out)


def test_another_run_in_the_folder_loses_nothing_that_is_promised(tmp_path):
    with appear_together(tmp_path / "a") as members:
        members.write(tmp_path / "a", b"a")
        members.write(tmp_path / "b", b"b")
        child = os.fork()
        if child == 0:
            kill_at(4, str(tmp_path), "KILL")  # after the journal and one rename
            members.take_places(tmp_path / "a", None)
            os._exit(0)
        os.waitpid(child, 0)
        left = [path for path in tmp_path.iterdir() if temporaries.is_temporary(path.name)]
        assert len(left) == 1
        for temporary in members._temporaries.values():
            temporary.release()
        members._temporaries.clear()
        refuse_existing(tmp_path / "other", overwrite=False)
        assert tree_of(tmp_path) == {"a": b"a", "b": b"b"}


@pytest.mark.parametrize(
    "pairs",
    [
        [["../victim", "victim"]],
        [["../victim", "../victim"]],
        [["\0", ".0123456789abcdef.1.tmp"]],
        [[1, 2]],
        [["a"]],
        [None],
        {"a": 1},
        [["猫", "x"]],
    ],
)
def test_a_promise_that_rsparse_did_not_write_does_no_harm(tmp_path, pairs):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "victim").write_bytes(b"precious")
    lines = to_checked_line(RUN) + to_checked_line({"renames": pairs})
    journal_of(folder / "a").write_bytes(lines)
    before = tree_of(tmp_path)
    settle(journal_of(folder / "a"))
    assert tree_of(tmp_path) == before


def test_long_names_have_journals(tmp_path):
    for name in ("x" * 255, "é" * 127, "a" * 250 + ".csv"):
        with journal_beside(tmp_path / name, RUN, overwrite=False) as journal:
            assert journal.path.parent == tmp_path
            assert len(os.fsencode(journal.path.name)) <= 255


def make_folder(path: Path, *names: str) -> None:
    folder = OutputFolder.open(path, {**RUN, "names": names}, [], overwrite=True)
    for name in names:
        if name not in folder.journal:
            folder.journal.add(save_png(path, name, make_picture(len(name), 4, 4)))
    folder.finish(Record(IMAGES, "purify", {}), [])


def test_a_folder_that_is_overwritten_is_whole_or_goes_on_at_every_kill(tmp_path):
    out = tmp_path / "out"
    make_folder(tmp_path / "new", "a", "sub/new")
    new = tree_of(tmp_path / "new")
    states = set()

    def work() -> None:
        make_folder(out, "a", "sub/new")

    make_folder(out, "old", "sub/olds", "deep/er/old")
    (out / "mine.txt").write_text("mine")
    old = tree_of(out)
    for _ in killed_at_each_change(out, work):
        if is_finished(out):
            now = tree_of(out)
            assert now in (old, {**new, "mine.txt": b"mine"})
            states.add(len(now))
        else:
            with pytest.raises(InputError, match="is unfinished because its run was interrupted"):
                read_manifest(out)
            states.add("unfinished")
        make_folder(out, "a", "sub/new")
        assert tree_of(out) == {**new, "mine.txt": b"mine"}
        assert not (out / "deep").exists()
        make_folder(out, "old", "sub/olds", "deep/er/old")
        assert tree_of(out) == old
    assert states == {len(old), len(new) + 1, "unfinished"}


def test_the_lock_of_a_plot_is_removed_after_every_kill(tmp_path):
    main, plot = tmp_path / "act.h5", tmp_path / "act.png"

    def work() -> None:
        with journal_beside(main, RUN, False, [plot]) as journal:
            journal.add({"name": "a"})
            with appear_together(main, journal) as members:
                members.write(plot, b"plot")
                members.write(main, b"main")

    for _ in killed_at_each_change(tmp_path, work):
        with suppress(InputError):  # it exists
            work()
        assert tree_of(tmp_path) == {"act.h5": b"main", "act.png": b"plot"}
        main.unlink()
        plot.unlink()


def test_a_replaced_folder_is_old_or_new_at_every_kill(tmp_path):
    page = tmp_path / "page"

    def work(text: str = "new") -> None:
        folder = AtomicFolder.open(page, lambda _: True, [], overwrite=True)
        with folder as target, target.filled() as place:
            (place / "data").mkdir()
            (place / "data/a.csv").write_text(text)
            (place / f"{text}.html").write_text(text)

    for start in (None, "old"):
        seen = set()
        if start:
            work(start)
        for _ in killed_at_each_change(tmp_path, work):
            settle(journal_of(page))
            names = sorted(path.name for path in page.iterdir()) if page.exists() else []
            assert names in ([], ["data", "old.html"], ["data", "new.html"])
            seen.add(bool(names) and names[-1])
            work()
            assert sorted(tree_of(tmp_path)) == ["page/data/a.csv", "page/new.html"]
            assert not [path for path in tmp_path.iterdir() if path.name[0] == "."]
            if start:
                work(start)
            else:
                (page / "data/a.csv").unlink()
                (page / "data").rmdir()
                (page / "new.html").unlink()
                page.rmdir()
        assert seen == {(start and "old.html") or False, "new.html"}


@pytest.fixture
def steps(monkeypatch, wait_for_the_disk):
    """The files synced to disk and renamed (``>``), in order."""
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def syncing(descriptor: int) -> None:
        steps.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", lambda a, b: (steps.append(f">{b.name}"), replace(a, b)))
    return steps


def test_files_are_forced_to_disk_before_the_manifest(tmp_path, monkeypatch, steps):
    whole = syncing._sync_file_system
    monkeypatch.setattr(
        syncing, "_sync_file_system", lambda folder: (steps.append("all"), whole(folder))[1]
    )
    make_folder(tmp_path / "out", "a", "sub/b")
    last = steps.index(f">{MANIFEST}")
    assert steps[:last].index("all") < steps[:last].index(JOURNAL)  # data first, then the journal
    assert steps[last - 1 :] == [JOURNAL, f">{MANIFEST}", "out"]


def test_files_are_forced_to_disk_one_by_one_where_it_must_be(tmp_path, monkeypatch, steps):
    monkeypatch.setattr(syncing, "_sync_file_system", lambda folder: False)
    make_folder(tmp_path / "out", "a", "sub/b")
    before = steps[: steps.index(f">{MANIFEST}")]
    assert {"a.png", "b.png", "sub", "out", tmp_path.name} <= set(before)
    assert before[-1] == JOURNAL


def test_a_disk_that_cannot_take_it_fails_the_run(tmp_path, monkeypatch):
    def fail(folder: Path) -> bool:
        raise OSError(errno.EIO, "Input/output error", str(folder))

    monkeypatch.setattr(syncing, "_sync_file_system", fail)
    with fails(f"{tmp_path / 'out'}: cannot be written: input/output error"):
        make_folder(tmp_path / "out", "a")
    assert sorted(tree_of(tmp_path / "out")) == [JOURNAL, "a.png"]
    monkeypatch.undo()
    make_folder(tmp_path / "out", "a")
    assert sorted(tree_of(tmp_path / "out")) == ["a.png", MANIFEST]


def test_a_journal_is_locked_while_it_is_taken_over(tmp_path):
    """A run that opened the journal just before another removed it starts a new one."""
    first = Journal.open(tmp_path / "journal", RUN, tmp_path)
    first.close(finished=True)
    second = Journal.open(tmp_path / "journal", RUN, tmp_path)
    assert second.path.exists()
    second.close(finished=True)
    first.close(finished=True)  # does nothing
