"""Ground truth: from a CSV file, from manifests, from class subfolders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rsparse.errors import InputError
from rsparse.options.labels import LabelOptions
from rsparse.store.class_index import ClassIndex
from rsparse.store.folders import OutputFolder
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.label_files import read_label_file
from rsparse.store.labels import Labels, find_labels
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


def find(inputs: ImageInputs, file: Path | None = None, n_classes: int = 10):
    labels = find_all(inputs, file, n_classes=n_classes)
    return labels.by_name, labels.origin


def find_all(
    inputs: ImageInputs,
    file: Path | None = None,
    first_class: int | None = None,
    n_classes: int = 10,
    classes: Sequence[str] = CLASSES,
) -> Labels:
    return find_labels(inputs, LabelOptions(file, first_class), classes, n_classes)


def read_label_rows(path: Path, class_names: Sequence[str]) -> dict[str, int]:
    rows = read_label_file(path, ClassIndex(class_names)).by_name
    return {name: label.number for name, label in rows.items()}


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


@pytest.mark.parametrize("header", ["", "file", "file,fur", "size,label"])
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


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("File,Label", "a.png,3"),
        ("label;name", "3;a.png"),
        ("Image_ID\tTrue Label", "a\t3"),
        ('"filename","class"', '"/data/a.png","3"'),
        ("ImageId,PredictionString", "a,3 85 1 499 272"),
    ],
)
def test_columns_as_other_programs_name_them(table, header, row):
    [label] = read_label_rows(table(row, header=header), CLASSES).values()
    assert label == 3


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


@pytest.mark.parametrize("label", [-1, 11, 1000])
def test_labels_out_of_range_are_refused(tmp_path, table, label):
    inputs = folder(tmp_path / "imgs", "a")
    message = f"label of 'a': expected a class from 0 to 9, got {label}"
    with refused(f"labels.csv: {message}"):
        find(inputs, table(f"a.png,{label}"))
    if label > 0:  # a manifest with others is damaged
        with refused(f"manifest: {message}"):
            find(artifact(tmp_path / "adv", {"a": label}))


IMAGENET = ("n01440764 tench, Tinca tinca", "n01443537 goldfish", "n01484850 great white shark",
            "n02012849 crane", "n03126707 crane, hoist")  # fmt: skip


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
        "the images are in no subfolders, and there is no labels.csv in their folder or beside it"
    )


@pytest.mark.parametrize("place", ["labels.csv", "imgs/labels.csv", "images.csv"])
def test_a_table_is_found_with_the_images(tmp_path, place):
    inputs = folder(tmp_path / "imgs", "a", "cat/b")
    header = "ImageId,TrueLabel" if place == "images.csv" else "file,label"
    (tmp_path / place).write_text(f"{header}\na,1\ncat/b,0\n")
    labels = find_all(inputs)
    assert (labels.by_name, labels.origin) == ({"a": 1, "cat/b": 0}, Path(place).name)
    assert [source.name for source in labels.sources()] == [Path(place).name]


def test_a_table_of_another_program_is_not_taken_for_labels(tmp_path):
    inputs = folder(tmp_path / "imgs", "cat/a")
    (tmp_path / "images.csv").write_text("file,label\ncat/a,1\n")
    assert find(inputs) == ({"cat/a": 0}, "class subfolders")


@pytest.mark.parametrize(
    ("header", "numbers", "n_classes", "option", "expected", "note"),
    [
        ("file,label", (1, 2, 3), 4, None, (1, 2, 3), ""),
        ("file,label", (1, 2, 3), 4, 1, (0, 1, 2), ""),
        ("file,label", (1, 2, 4), 4, None, (0, 1, 3),
         "classes are counted from 1, since there is a class 4 and no class 0"),
        ("ImageId,TrueLabel", (1, 2, 3), 4, None, (0, 1, 2),
         "TrueLabel counts classes from 1, as in NIPS 2017"),
        ("ImageId,TrueLabel", (1, 2, 3), 4, 0, (1, 2, 3), ""),
        ("ImageId,TrueLabel", (0, 2, 3), 4, None, (0, 2, 3), ""),
        ("ImageId,TrueLabel", (1, 2, 1000), 1001, None, (1, 2, 1000),
         "its class 1 is the model's class 1, after the background"),
    ],
)  # fmt: skip
def test_where_counting_begins(tmp_path, table, header, numbers, n_classes, option, expected, note):
    names = ["a", "b", "c"]
    rows = [f"{name},{number}" for name, number in zip(names, numbers, strict=True)]
    path = table(*rows, header=header)
    labels = find_all(folder(tmp_path / "imgs", *names), path, option, n_classes, ("x", "y"))
    assert tuple(labels.by_name.values()) == expected
    assert labels.sentences() == ([f"labels.csv: {note}"] if note else [])


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
    ("lines", "expected"),
    [
        (("1", "0", "2"), (1, 0, 2)),
        (("n01443537", "n01440764", "n01484850"), (1, 0, 2)),
        (("great white shark", "tench", "1"), (2, 0, 1)),
        (("v_1.png 1", "v_2.png 0", "v_3.png 2"), (1, 0, 2)),
        (("val/v_3.png n01484850", "val/v_1.png n01443537", "v_2.png n01440764"), (1, 0, 2)),
    ],
)
def test_a_text_of_classes_in_the_order_of_names(tmp_path, lines, expected):
    path = tmp_path / "truth.txt"
    path.write_text("\n".join([*lines, ""]))
    inputs = folder(tmp_path / "imgs", "v_1", "v_2", "v_3")
    labels = find_all(inputs, path, n_classes=5, classes=IMAGENET)
    assert tuple(labels.by_name.values()) == expected


def test_ilsvrc_counts_from_one_in_its_own_order(tmp_path):
    path = tmp_path / "ILSVRC2012_validation_ground_truth.txt"
    path.write_text("3\n1\n4\n2\n")
    inputs = folder(tmp_path / "imgs", "ILSVRC2012_val_00000002", "ILSVRC2012_val_00000003")
    labels = find_all(inputs, path, n_classes=5, classes=IMAGENET)
    assert tuple(labels.by_name.values()) == (0, 3)
    assert labels.sentences() == [
        f"{path.name}: 2 of its 4 labels belong to no image here and are not used; "
        "'ILSVRC2012_val_00000002' has that of line 2",
        f"{path.name}: ILSVRC counts classes from 1, in the order of its development kit; most "
        "models have another order, which needs a file of identifiers such as n01440764",
    ]


def test_a_text_of_classes_has_to_fit_the_images(tmp_path):
    path = tmp_path / "truth.txt"
    path.write_text("1\n2\n1\n")
    inputs = folder(tmp_path / "imgs", "a", "b")
    with refused(
        f"{path}: has 3 labels for 2 images; give a CSV file with the columns file and label"
    ):
        find(inputs, path)
    inputs = folder(tmp_path / "others", "a9", "a10", "a11x")
    with pytest.raises(InputError, match="which is not clear because their numbers differ"):
        find(inputs, path)
    path.write_text("1\nhound\n1\n")
    with refused(f"{path}: line 2: expected a class index or a class name, got 'hound'"):
        find(inputs, path)
