"""Image folders as artifacts: what may be written where, and what is never removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsparse.store.folders import JOURNAL, MANIFEST, OutputFolder, read_manifest, record_of
from rsparse.store.lines import to_checked_line
from rsparse.store.records import IMAGES, Record
from rsparse.work.runs import save_png
from tests.conftest import make_picture, tree_of
from tests.refusals import refused

RUN = {"stage": "purify"}
RECORD = Record(IMAGES, "purify", {"sparsity": 2})


def begin(path: Path, *, run: dict = RUN, inputs=(), overwrite: bool = False) -> OutputFolder:
    return OutputFolder.open(path, run, inputs, overwrite)


def add(folder: OutputFolder, *names: str) -> None:
    for name in names:
        folder.journal.add({**save_png(folder.path, name, make_picture(0, 4, 4)), "label": 3})


def artifact(path: Path, *names: str) -> Path:
    folder = begin(path)
    add(folder, *(names or ("a", "sub/b")))
    folder.finish(RECORD, [])
    return path


def unfinished(path: Path, *names: str, run: dict = RUN) -> Path:
    folder = begin(path, run=run)
    add(folder, *names)
    folder.journal.close()
    return path


def test_a_finished_folder_is_an_artifact(tmp_path):
    folder = begin(tmp_path / "deep/out")
    add(folder, "b", "a", "sub/ü [c]")
    failed = [{"name": "z", "path": "/abs/z.png", "error": "/abs/z.png: is an empty file"}]
    folder.finish(RECORD, failed)
    path = tmp_path / "deep/out"
    assert sorted(tree_of(path)) == ["a.png", "b.png", MANIFEST, "sub/ü [c].png"]
    manifest = read_manifest(path)
    assert [entry["name"] for entry in manifest["images"]] == ["a", "b", "sub/ü [c]"]
    assert manifest["images"][0]["label"] == 3
    assert manifest["failed"] == [{"name": "z", "error": "is an empty file"}]
    assert record_of(manifest) == RECORD.as_json()
    text = (path / MANIFEST).read_text(encoding="utf-8")
    assert text.count("\n  {") == 4  # one entry per line
    assert "/abs" not in text


def test_an_artifact_is_not_written_over(tmp_path):
    artifact(tmp_path / "out")
    before = tree_of(tmp_path)
    for run in (RUN, {"stage": "other"}):
        with refused(f"{tmp_path / 'out'}: exists; choose another output or pass --overwrite"):
            begin(tmp_path / "out", run=run)
    assert tree_of(tmp_path) == before


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_of_the_users_is_not_touched(tmp_path, overwrite):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("x")
    with refused(f"{tmp_path / 'out'}: contains other files; choose an empty or new folder"):
        begin(tmp_path / "out", overwrite=overwrite)
    (tmp_path / "out" / MANIFEST).write_text("{}")
    message = "contains other files; choose an empty or new folder"
    if not overwrite:
        message = "exists; choose another output or pass --overwrite"
    with refused(f"{tmp_path / 'out'}: {message}"):
        begin(tmp_path / "out", overwrite=overwrite)
    assert tree_of(tmp_path) == {"out/mine.txt": b"x", f"out/{MANIFEST}": b"{}"}


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    artifact(tmp_path / "out")


@pytest.mark.parametrize("other", [RUN, {"stage": "other"}])
def test_overwriting_removes_its_own_files_only(tmp_path, other):
    out = artifact(tmp_path / "out", "a", "sub/b", "sub/deep/c")
    (out / "mine.txt").write_text("mine")
    (out / "sub/mine.png").write_text("mine")
    folder = begin(out, run=other, overwrite=True)
    assert sorted(tree_of(out)) == [JOURNAL, "mine.txt", "sub/mine.png"]
    assert not (out / "sub/deep").exists()
    add(folder, "new")
    folder.finish(RECORD, [])
    assert sorted(tree_of(out)) == [MANIFEST, "mine.txt", "new.png", "sub/mine.png"]


def test_overwriting_the_rest_of_another_run(tmp_path):
    """Also if the killed process wrote a file but could not add it to the journal."""
    out = unfinished(tmp_path / "out", "a", run={"stage": "other"})
    save_png(out, "b", make_picture(1, 4, 4))
    (out / ".0123456789abcdef.77.tmp").write_bytes(b"half")
    with refused(
        f"{out}: holds an unfinished run with other inputs or parameters; "
        "finish that run, or pass --overwrite to start again"
    ):
        begin(out)
    folder = begin(out, overwrite=True)
    assert sorted(tree_of(out)) == [JOURNAL, "b.png"]
    add(folder, "a", "b")
    folder.finish(RECORD, [])
    assert tree_of(out) == tree_of(artifact(tmp_path / "fresh", "a", "b"))


@pytest.mark.parametrize("overwrite", [True, False])
def test_an_interrupted_run_goes_on(tmp_path, overwrite):
    out = unfinished(tmp_path / "out", "a")
    (out / ".0123456789abcdef.77.tmp").write_bytes(b"half")
    folder = begin(out, overwrite=overwrite)
    assert len(folder.journal) == 1
    add(folder, "sub/b")
    folder.finish(RECORD, [])
    assert tree_of(out) == tree_of(artifact(tmp_path / "fresh"))


def test_a_run_killed_just_before_its_journal_was_removed(tmp_path):
    out = artifact(tmp_path / "out")
    whole = tree_of(out)
    (out / JOURNAL).write_bytes(to_checked_line(RUN) + b"".join(
        to_checked_line(entry) for entry in read_manifest(out)["images"]))  # fmt: skip
    with refused(f"{out}: exists; choose another output or pass --overwrite"):
        begin(out)
    assert tree_of(out) == whole  # without the journal


def test_a_running_run_is_not_overwritten(tmp_path):
    folder = begin(tmp_path / "out")
    add(folder, "a")
    before = tree_of(tmp_path)
    for run in (RUN, {"stage": "other"}):
        with refused(f"{tmp_path / 'out'}: is being written by another run"):
            begin(tmp_path / "out", run=run, overwrite=True)
    assert tree_of(tmp_path) == before
    folder.journal.close()


@pytest.mark.parametrize("place", ["manifest", "journal"])
@pytest.mark.parametrize("file", ["../victim.png", "/tmp/victim.png", "link/victim.png", "a\0b"])
def test_files_named_outside_the_folder_are_never_removed(tmp_path, place, file):
    (tmp_path / "victim.png").write_text("precious")
    out = artifact(tmp_path / "out", "a")
    (out / "link").symlink_to(tmp_path)
    entries = [*read_manifest(out)["images"], {"name": "v", "file": file, "sha256": "0"}]
    if place == "manifest":
        manifest = {**read_manifest(out), "images": entries}
        (out / MANIFEST).write_text(json.dumps(manifest))
    else:
        (out / MANIFEST).unlink()
        (out / JOURNAL).write_bytes(b"".join(map(to_checked_line, [{"stage": "other"}, *entries])))
    before = tree_of(tmp_path)
    with refused(f"{out}: refers to a file outside itself: {file!r}"):
        begin(out, overwrite=True)
    assert tree_of(tmp_path) == before


def test_a_manifest_that_names_folders_removes_none(tmp_path):
    out = artifact(tmp_path / "out", "a")
    (out / "mine").mkdir()
    (out / "mine/x.txt").write_text("x")
    manifest = read_manifest(out)
    for name in (".", "mine"):
        manifest["images"].append({"name": name, "file": name, "sha256": "0"})
    (out / MANIFEST).write_text(json.dumps(manifest))
    begin(out, overwrite=True).journal.close()
    assert sorted(tree_of(out)) == [JOURNAL, "mine/x.txt"]


def test_outputs_and_inputs_must_not_overlap(tmp_path):
    imgs = tmp_path / "imgs"
    (imgs / "sub").mkdir(parents=True)
    (imgs / "a.png").write_bytes(b"x")
    (tmp_path / "link").symlink_to(imgs)
    before = tree_of(tmp_path)
    for output in (imgs, imgs / "../imgs", tmp_path / "link"):
        with refused(f"{output}: is the input itself; choose another output"):
            begin(output, inputs=[imgs], overwrite=True)
    for output in (imgs / "out", imgs / "sub", tmp_path / "link/out/deep"):
        with refused(f"{output}: is inside the input {imgs}; choose another output"):
            begin(output, inputs=[imgs])
    for source in (imgs, imgs / "a.png"):
        with refused(f"{tmp_path}: contains the input {source}; choose another output"):
            begin(tmp_path, inputs=[source], overwrite=True)
    assert tree_of(tmp_path) == before
    begin(tmp_path / "imgs2", inputs=[imgs]).journal.close()


def test_an_artifact_is_not_overwritten_by_what_is_made_from_a_file_in_it(tmp_path):
    out = artifact(tmp_path / "adv")
    before = tree_of(out)
    with refused(f"{out}: contains the input {out / 'a.png'}; choose another output"):
        begin(out, inputs=[out / "a.png"], overwrite=True)
    assert tree_of(out) == before


@pytest.mark.parametrize("overwrite", [True, False])
def test_an_output_that_is_a_file_or_below_one_is_refused(tmp_path, overwrite):
    (tmp_path / "file").write_bytes(b"x")
    with refused(f"{tmp_path / 'file'}: is a file; name a folder"):
        begin(tmp_path / "file", overwrite=overwrite)
    with refused(f"{tmp_path / 'file/out'}: cannot be written: not a directory"):
        begin(tmp_path / "file/out", overwrite=overwrite)
    long = tmp_path / ("x" * 300)
    with refused(f"{long}: cannot be written: file name too long"):
        begin(long, overwrite=overwrite)
    assert tree_of(tmp_path) == {"file": b"x"}


def test_abandoning_leaves_nothing_unless_something_was_done(tmp_path):
    begin(tmp_path / "out").abandon()
    assert not (tmp_path / "out").exists()
    folder = begin(tmp_path / "out")
    add(folder, "a")
    folder.abandon()
    assert sorted(tree_of(tmp_path / "out")) == [JOURNAL, "a.png"]


def test_folders_without_our_manifest_have_none(tmp_path):
    assert read_manifest(tmp_path) is None
    for text in ("{}", "[]", '"x"', '{"name": "web app", "icons": []}'):
        (tmp_path / MANIFEST).write_text(text)
        assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "rsparse-dictionary"}, "expected rsparse-images, got rsparse-dictionary"),
        ({"format": ["x"]}, "is not an rsparse artifact"),
        ({"format_version": 9},
         "rsparse-images version 9 is newer than this rsparse reads (2); upgrade rsparse"),
        *(
            ({"images": images}, "is damaged or incomplete: images are not listed as expected")
            for images in (None, {}, "abc", [1], [{}], [{"name": "a", "file": 1, "sha256": "b"}])
        ),
        ({"format_version": 1},
         "was written by an older rsparse; make it again with 'rsparse purify'"),
        ({"failed": None}, "is damaged or incomplete: images are not listed as expected"),
        ({"inputs": [1]}, "is damaged or incomplete: its record lacks required keys"),
    ],
)  # fmt: skip
def test_damaged_manifests_and_those_of_other_versions_are_refused(tmp_path, change, message):
    out = artifact(tmp_path / "out")
    (out / MANIFEST).write_text(json.dumps({**read_manifest(out), **change}))
    with refused(f"{out / MANIFEST}: {message}"):
        read_manifest(out)


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: text + b" \n"])
def test_a_manifest_that_ends_otherwise_is_refused(tmp_path, change):
    """The checksum does not cover itself and what follows, which can only be one text."""
    out = artifact(tmp_path / "out")
    (out / MANIFEST).write_bytes(change((out / MANIFEST).read_bytes()))
    with refused(f"{out / MANIFEST}: is damaged: it differs from its checksum"):
        read_manifest(out)


def test_an_older_folder_is_replaced(tmp_path):
    """A folder that can no longer be read can still be replaced."""
    out = artifact(tmp_path / "out")
    manifest = {**read_manifest(out), "format_version": 1}
    (out / MANIFEST).write_text(json.dumps(manifest))
    folder = begin(out, overwrite=True)
    assert sorted(tree_of(out)) == [JOURNAL]
    add(folder, "a")
    folder.finish(RECORD, [])
    assert read_manifest(out)["format_version"] == 2


@pytest.mark.parametrize("text", ["", '{"format": "rspa', "\xff", "[" * 100_000])
def test_a_manifest_that_is_not_json_is_refused(tmp_path, text):
    (tmp_path / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(Exception, match=rf"{MANIFEST}: is not valid JSON: "):
        read_manifest(tmp_path)


def test_an_unfinished_folder_is_no_input(tmp_path):
    with refused(
        f"{unfinished(tmp_path / 'out', 'a')}: is unfinished because its run was interrupted; "
        "run the same command again to finish it"
    ):
        read_manifest(tmp_path / "out")
