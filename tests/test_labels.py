"""Ground truth: from a CSV file, from manifests, from class subfolders."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsparse.store.folders import OutputFolder
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.labels import find_labels, read_label_rows
from rsparse.store.records import IMAGES, Record
from rsparse.work.runs import save_png
from tests.conftest import make_picture
from tests.refusals import refused

CLASSES = ("cat", "dog", "crane", "crane", "7")


@pytest.fixture
def table(tmp_path: Path):
    def write(*rows: str, header: str = "file,label", encoding: str = "utf-8") -> Path:
        path = tmp_path / "labels.csv"
        path.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
        return path

    return write


def folder(path: Path, *names: str) -> ImageInputs:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / f"{name}.png").write_bytes(b"x")
    return load_inputs([path])


def artifact(path: Path, labels: dict[str, int | None]) -> ImageInputs:
    output = OutputFolder.open(path, {}, [], False)
    for name, label in labels.items():
        entry = save_png(path, name, make_picture(0, 4, 4))
        output.journal.add(entry if label is None else {**entry, "label": label})
    output.finish(Record(IMAGES, "attack", {}), [])
    return load_inputs([path])


def find(inputs: ImageInputs, csv_file: Path | None = None, n_classes: int = 10):
    return find_labels(inputs, csv_file, CLASSES, n_classes)


@pytest.mark.parametrize(
    ("row", "name", "label"),
    [
        ("a.png,3", "a", 3),
        ("a,3", "a", 3),
        ("sub/ü [x].JPG, dog ", "sub/ü [x]", 1),
        ("./sub/a.png,cat", "sub/a", 0),
        ("sub\\a.png,0", "sub/a", 0),
        ('"a, b.png",1', "a, b", 1),
        ("a.b.png,1", "a.b", 1),
        ("a.png,7", "a", 4),  # a class of that name comes before the index
        ("a.png,-1", "a", -1),  # out of range, which find_labels says
    ],
)
def test_rows(table, row, name, label):
    assert read_label_rows(table(row), CLASSES) == {name: label}


def test_other_columns_byte_order_marks_and_line_ends_do_no_harm(table, tmp_path):
    path = table("1,a.png,x,9", header="label,file,more,\ufeff")
    assert read_label_rows(path, ()) == {"a": 1}
    path.write_bytes(b"\xef\xbb\xbffile,label\r\na.png,1\r\n\r\nb.png,2\r\n")
    assert read_label_rows(path, ()) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a.png,1", "sub/../a.png,1", "a.jpg,2"], "line 4: lists 'a' twice"),
        (["a.png,hound"], "line 2: expected a class index or a class name, got 'hound'"),
        (["a.png,"], "line 2: expected a class index or a class name, got ''"),
        (["a.png"], "line 2: expected a class index or a class name, got ''"),
        (["a.png,1.0"], "line 2: expected a class index or a class name, got '1.0'"),
        (["a.png,1_0"], "line 2: expected a class index or a class name, got '1_0'"),
        (["a.png,٣"], "line 2: expected a class index or a class name, got '٣'"),
        (["a.png," + "9" * 5000], "line 2: expected a class index or a class name, got '"
         + "9" * 5000 + "'"),
        (["b.png,1", "a.png,crane"],
         "line 3: several classes are named 'crane'; give the class index"),
        ([",1"], "line 2: has no file name"),
        (["x" * 200_000 + ",1"], "is not a valid CSV file: field larger than field limit (131072)"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_rows_that_make_no_sense_are_refused(table, rows, message):
    path = table(*rows)
    with refused(f"{path}: {message}"):
        read_label_rows(path, CLASSES)


@pytest.mark.parametrize("header", ["", "file", "name,label", "file;label", "File,Label"])
def test_a_table_without_the_columns_is_refused(table, header):
    path = table("a.png,1", header=header)
    with refused(f"{path}: expected a header with the columns file and label"):
        read_label_rows(path, CLASSES)


def test_an_empty_a_binary_and_a_missing_file_are_refused(tmp_path, table):
    path = tmp_path / "labels.csv"
    with refused(f"{path}: cannot be read: no such file or directory"):
        read_label_rows(path, CLASSES)
    path.write_bytes(b"")
    with refused(f"{path}: expected a header with the columns file and label"):
        read_label_rows(path, CLASSES)
    path = table("a.png,1", encoding="utf-16")
    with refused(f"{path}: is not UTF-8 text"):
        read_label_rows(path, CLASSES)


def test_a_table_labels_a_folder(tmp_path, table):
    inputs = folder(tmp_path / "imgs", "a", "sub/b")
    path = table("a.png,1", "sub/b.png,cat")
    assert find(inputs, path) == ({"a": 1, "sub/b": 0}, "labels.csv")


def test_a_table_has_to_know_every_image_and_no_other(tmp_path, table):
    inputs = folder(tmp_path / "imgs", "a", "sub/b")
    path = table("a.png,1")
    with refused(f"{path}: has no label for 'sub/b'"):
        find(inputs, path)
    path = table("a.png,1", "sub/b.png,1", "x.png,1", "c.png,1")
    with refused(f"{path}: lists 'c' and 1 more, not among the images; remove those rows"):
        find(inputs, path)


def test_single_files_and_artifacts_need_not_use_all_rows(tmp_path, table):
    path = table("a.png,1", "b.png,2", "c.png,3")
    folder(tmp_path / "imgs", "a", "b")
    assert find(load_inputs([tmp_path / "imgs/a.png"]), path)[0] == {"a": 1}
    assert find(artifact(tmp_path / "adv", {"b": None}), path)[0] == {"b": 2}


def test_images_of_several_runs_share_the_rows_of_a_table(tmp_path, table):
    """An attack with several strengths fills one subfolder each."""
    for run in ("eps=2", "eps=8"):
        artifact(tmp_path / "adv" / run, {"a": None, "cat/b": None})
    path = table("a.png,1", "cat/b.png,2", "other.png,3")
    assert find(load_inputs([tmp_path / "adv"]), path)[0] == {
        "eps=2/a": 1, "eps=2/cat/b": 2, "eps=8/a": 1, "eps=8/cat/b": 2,
    }  # fmt: skip


def test_a_table_counts_more_than_a_manifest(tmp_path, table):
    inputs = artifact(tmp_path / "adv", {"a": 5})
    assert find(inputs) == ({"a": 5}, "manifest")
    assert find(inputs, table("a.png,1")) == ({"a": 1}, "labels.csv")


def test_a_manifest_that_labels_some_images_only_does_not_count(tmp_path):
    assert find(artifact(tmp_path / "adv", {"a": 5, "b": None})) == ({}, "none")


def test_class_subfolders(tmp_path):
    inputs = folder(tmp_path / "imgs", "cat/a", "dog/b", "deep/dog/a")
    expected = {"cat/a": 0, "deep/dog/a": 1, "dog/b": 1}
    assert find(inputs) == (expected, "class subfolders")


@pytest.mark.parametrize("name", ["a", "bird/a", "crane/a", "cat/deep/a"])
def test_subfolders_of_which_one_is_no_class_say_nothing(tmp_path, name):
    """Nor does one whose name several classes bear."""
    assert find(folder(tmp_path / "imgs", "cat/a", name)) == ({}, "none")


@pytest.mark.parametrize("label", [-1, 10, 1000])
def test_labels_out_of_range_are_refused(tmp_path, table, label):
    inputs = folder(tmp_path / "imgs", "a")
    message = f"label of 'a': expected a class from 0 to 9, got {label}"
    with refused(f"labels.csv: {message}"):
        find(inputs, table(f"a.png,{label}"))
    with refused(f"manifest: {message}"):
        find(artifact(tmp_path / "adv", {"a": label}))
