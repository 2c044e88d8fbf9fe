"""Ground-truth labels: from a file, from manifests, from class subfolders."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsparse.store.folders import OutputFolder
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.records import IMAGES, Record
from rsparse.work.runs import save_png
from tests.conftest import make_picture
from tests.label_cases import CLASSES, IMAGENET, find_all, folder, table
from tests.refusals import refused

__all__ = ["table"]  # the fixture


def artifact(path: Path, labels: dict[str, int | None]) -> ImageInputs:
    output = OutputFolder.open(path, {}, [], False)
    for name, label in labels.items():
        entry = save_png(path, name, make_picture(0, 4, 4))
        output.journal.add(entry if label is None else {**entry, "label": label})
    output.finish(Record(IMAGES, "attack", {}), [])
    return load_inputs([path])


def find(inputs: ImageInputs, file: Path | None = None, n_classes: int = 10):
    labels = find_all(inputs, file, n_classes=n_classes)
    return labels.by_name, labels.origin


def test_a_table_labels_a_folder(tmp_path, table):
    inputs = folder(tmp_path / "imgs", "a", "sub/b")
    path = table("a.png,1", "sub/b.png,cat")
    assert find(inputs, path) == ({"a": 1, "sub/b": 0}, "labels.csv")


def test_a_table_has_to_know_every_image(tmp_path, table):
    inputs = folder(tmp_path / "imgs", "a", "sub/b", "sub/c")
    path = table("a.png,1")
    with refused(f"{path}: has no label for 'sub/b' and 1 more"):
        find(inputs, path)


def test_labels_of_no_image_are_counted(tmp_path, table):
    inputs = folder(tmp_path / "imgs", "a", "sub/b")
    labels = find_all(inputs, table("a.png,1", "sub/b.png,1", "x.png,1", "c.png,1"))
    assert labels.by_name == {"a": 1, "sub/b": 1}
    assert labels.sentences() == [
        "labels.csv: 2 of its 4 labels belong to no image here and are not used"
    ]


def test_the_folders_in_a_table_may_be_others(tmp_path, table):
    inputs = folder(tmp_path / "imgs", "a", "cat/b")
    path = table("train/imgs/a.png,1", "/data/cat/b.png,2")
    assert find(inputs, path)[0] == {"a": 1, "cat/b": 2}
    path = table("one/a.png,1", "two/a.png,2", "cat/b.png,2")
    with refused(f"{path}: has no label for 'a'"):
        find(inputs, path)


def test_single_files_and_artifacts_need_not_use_all_rows(tmp_path, table):
    path = table("a.png,1", "b.png,2", "c.png,3")
    folder(tmp_path / "imgs", "a", "b")
    assert find(load_inputs([tmp_path / "imgs/a.png"]), path)[0] == {"a": 1}
    assert find(artifact(tmp_path / "adv", {"b": None}), path)[0] == {"b": 2}


def test_images_of_several_runs_share_the_rows_of_a_table(tmp_path, table):
    """An attack with several strengths writes one subfolder per strength."""
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
    """Nor do subfolders whose name belongs to several classes."""
    assert find(folder(tmp_path / "imgs", "cat/a", name)) == ({}, "none")


@pytest.mark.parametrize("label", [-1, 11, 1000])
def test_labels_out_of_range_are_refused(tmp_path, table, label):
    inputs = folder(tmp_path / "imgs", "a")
    message = f"label of 'a': expected a class from 0 to 9, got {label}"
    with refused(f"labels.csv: {message}"):
        find(inputs, table(f"a.png,{label}"))
    if label > 0:  # a manifest with negative labels is damaged
        with refused(f"manifest: {message}"):
            find(artifact(tmp_path / "adv", {"a": label}))


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("n01443537", "n01440764"), [1, 0]),
        (("n01440764 tench, Tinca tinca", "tench", "Tinca tinca"), [0, 0, 0]),
        (("great_white_shark", "Great-White Shark"), [2, 2]),
        (("hoist", "n02012849"), [4, 3]),
        (("0", "3", "004"), [0, 3, 4]),
        (("train/tench/images", "train/goldfish/images"), [0, 1]),
    ],
)
def test_subfolders_by_all_that_names_a_class(tmp_path, folders, expected):
    names = [f"{folder}/{number}" for number, folder in enumerate(folders)]
    inputs = folder(tmp_path / "imgs", *names)
    labels = find_all(inputs, n_classes=5, classes=IMAGENET)
    assert labels.by_name == dict(zip(names, expected, strict=True))
    assert labels.origin == "class subfolders"


@pytest.mark.parametrize(
    ("names", "classes", "reason"),
    [
        (["a"], CLASSES, "the images are in no subfolders, and there is no labels.csv in their "
         "folder or beside it"),
        (["cat/a", "b"], CLASSES, "the image 'b' is in no subfolder"),
        (["crane/a"], IMAGENET, "several classes are named 'crane' like a subfolder"),
        (["hound/a"], IMAGENET, "the subfolder 'hound' is not among the classes "
         "'n01440764 tench, Tinca tinca', 'n01443537 goldfish', …"),
        (["n01440764/a"], ("tench", "goldfish"), "the subfolder 'n01440764' is not among the "
         "classes 'tench', 'goldfish', which have no identifiers; --class-names FILE with them "
         "would name it"),
        (["n01440764/a"], ("0", "1"), "the subfolder 'n01440764' is not the number of a class, and "
         "the model's classes have no names; --class-names FILE names them"),
        (["7/a", "0/b"], ("0", "1"), "the subfolder '7' is none of the classes 0 to 1"),
    ],
)  # fmt: skip
def test_why_there_are_no_labels(tmp_path, names, classes, reason):
    inputs = folder(tmp_path / "imgs", *names)
    labels = find_all(inputs, n_classes=len(classes), classes=classes)
    assert labels.by_name == {}
    assert labels.sentences() == [f"no labels: {reason}"]


def test_why_a_manifest_and_a_table_beside_it_are_not_used(tmp_path, table):
    table("a.png,1", "b.png,hound")
    inputs = artifact(tmp_path / "adv", {"a": 5, "b": None})
    [sentence] = find_all(inputs).sentences()
    assert sentence == (
        "no labels: the manifest labels 1 of 2 images, not 'b'; "
        f"{tmp_path / 'labels.csv'}: line 3: expected a class index or a class name, got 'hound'; "
        "the images are in no subfolders"
    )


@pytest.mark.parametrize("place", ["labels.csv", "imgs/labels.csv", "images.csv"])
def test_a_table_is_found_with_the_images(tmp_path, place):
    inputs = folder(tmp_path / "imgs", "a", "cat/b")
    header = "ImageId,TrueLabel" if place == "images.csv" else "file,label"
    (tmp_path / place).write_text(f"{header}\na,1\ncat/b,0\n")
    labels = find_all(inputs)
    assert (labels.by_name, labels.origin) == ({"a": 1, "cat/b": 0}, Path(place).name)
    assert [source.name for source in labels.sources()] == [Path(place).name]


def test_a_table_that_contradicts_the_subfolders_is_told(tmp_path, table):
    table("cat/a.png,0", "dog/b.png,0")
    labels = find_all(folder(tmp_path / "imgs", "cat/a", "dog/b"))
    assert labels.by_name == {"cat/a": 0, "dog/b": 0}
    assert labels.sentences() == [
        "labels.csv and the class subfolders differ for 1 of 2 images, such as 'dog/b'; "
        "labels.csv is used"
    ]


def test_a_table_of_another_program_is_not_taken_for_labels(tmp_path):
    inputs = folder(tmp_path / "imgs", "cat/a")
    (tmp_path / "images.csv").write_text("file,label\ncat/a,1\n")
    assert find(inputs) == ({"cat/a": 0}, "class subfolders")


def test_subfolders_counted_from_one(tmp_path):
    inputs = folder(tmp_path / "imgs", "1/a", "2/a")
    labels = find_all(inputs, n_classes=2, classes=("x", "y"))
    assert labels.by_name == {"1/a": 0, "2/a": 1}
    assert labels.sentences() == [
        "class subfolders: classes are counted from 1, since there is a class 2 and no class 0"
    ]
    inputs = folder(tmp_path / "dates", "2019/01/a")
    assert find_all(inputs, n_classes=3, classes=("x", "y", "z")).sentences() == [
        "class subfolders: the subfolders are taken as class numbers: '01' is 'y'"
    ]


@pytest.mark.parametrize(
    ("name", "label", "taken", "left"),
    [
        ("tench/goldfish/a", 1, "goldfish", "tench"),
        ("tench/3/a", 0, "tench", "3"),  # a number may be that of a part
        ("3/tench/a", 0, "tench", "3"),
    ],
)
def test_subfolders_of_two_depths_that_name_different_classes_are_told(
    tmp_path, name, label, taken, left
):
    inputs = folder(tmp_path / "imgs", name, "goldfish/goldfish/b")
    labels = find_all(inputs, n_classes=5, classes=IMAGENET)
    assert labels.by_name == {name: label, "goldfish/goldfish/b": 1}
    assert labels.sentences() == [
        f"class subfolders: both {taken!r} and {left!r} name a class of {name!r}; {taken!r} is "
        "taken, as are subfolders at its depth for all images"
    ]


@pytest.mark.parametrize("name", ["labels.txt", "Labels.CSV", "imgs/metadata.jsonl", "truth.json"])
def test_a_file_that_may_hold_the_labels_is_named(tmp_path, name):
    inputs = folder(tmp_path / "imgs", "a")
    (tmp_path / name).write_text("a.png 1\n")
    (tmp_path / "notes.txt").write_text("on classes")
    place = (tmp_path / name).resolve()
    assert find_all(inputs).sentences() == [
        "no labels: the images are in no subfolders, and there is no labels.csv in their folder or "
        f"beside it; if {place} has labels, pass it as --labels"
    ]


def test_images_with_numbers_for_names_that_have_no_label(tmp_path, table):
    """The table looks like an index of classes, but some images have labels in it."""
    path, inputs = table("0.png,dog", "1.png,cat"), folder(tmp_path / "imgs", "0", "1", "2")
    with refused(f"{path}: has no label for '2'"):
        find(inputs, path)
