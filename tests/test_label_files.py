"""Label files: columns, formats and counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rsparse.errors import InputError
from rsparse.store.class_index import ClassIndex
from rsparse.store.label_files import read_label_file
from tests.label_cases import CLASSES, IMAGENET, find_all, folder, table
from tests.refusals import refused

__all__ = ["table"]  # the fixture

WANTED = (
    'expected {"a.png": 3, …}, {"tench": ["a.png", …], …}, [["a.png", 3], …], or objects with the '
    "keys file and label"
)


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
        ("a.png,7", "a", 4),  # a class name takes precedence over an index
        ("a.png,-1", "a", -1),  # out of range; find_labels reports it
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
    path = table("é.png,1", encoding="latin-1")
    with refused(f"{path}: is not UTF-8 text; save it as UTF-8"):
        read_label_rows(path, CLASSES)
    assert read_label_rows(table("é.png,1", encoding="utf-16"), CLASSES) == {"é": 1}


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("File,Label", "a.png,3"),
        ("label;name", "3;a.png"),
        ("Image_ID\tTrue Label", "a\t3"),
        ('"filename","class"', '"/data/a.png","3"'),
        ("ImageId,PredictionString", "a,3 85 1 499 272"),
        ("sep=;\nfile;label", "a.png;3"),
    ],
)
def test_columns_as_other_programs_name_them(table, header, row):
    [label] = read_label_rows(table(row, header=header), CLASSES).values()
    assert label == 3


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
        find_all(inputs, path)
    inputs = folder(tmp_path / "others", "a9", "a10", "a12")
    with pytest.raises(InputError, match="which is not clear because their numbers differ"):
        find_all(inputs, path)
    path.write_text("1\nhound\n1\n")
    with refused(f"{path}: line 2: expected a class index or a class name, got 'hound'"):
        find_all(inputs, path)


@pytest.mark.parametrize(
    "content",
    [
        '{"a.png": 0, "sub/b.png": "goldfish"}',
        '{"labels": {"a": "n01440764", "b": 1}}',
        '{"tench": ["a.png"], "goldfish": ["sub/b.png"]}',
        '{"tench": ["a.png"], "1": ["sub/b.png"]}',
        '[["a.png", 0], ["sub/b.png", "1"]]',
        '{"labels": [["a.png", 0], ["sub/b.png", 1]]}',
        '[{"File_Name": "a.png", "Label": 0}, {"File_Name": "sub/b.png", "Label": "goldfish"}]',
        '{"a.png": {"label": 0, "box": [1, 2]}, "sub/b.png": {"label": 1}}',
        '{"file_name": "a.png", "label": 0}\n{"file_name": "sub/b.png", "label": 1, "box": [3]}\n',
        "[0, 1]",
        '["tench", "goldfish"]',
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".txt"])
def test_labels_in_json(tmp_path, content, suffix):
    path = tmp_path / f"truth{suffix}"
    path.write_text(content)
    inputs = folder(tmp_path / "imgs", "a", "sub/b")
    labels = find_all(inputs, path, n_classes=5, classes=IMAGENET)
    assert labels.by_name == {"a": 0, "sub/b": 1}
    assert labels.origin == path.name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON: Expecting property name enclosed in double quotes: line 1 column "
         "2 (char 1)"),
        ("[" * 100_000, "is not valid JSON: maximum recursion depth exceeded while decoding a JSON "
         "array from a unicode string"),
        ("3", WANTED), ("{}", WANTED), ('{"a.png": null}', WANTED), ('{"a.png": true}', WANTED),
        ('[["a.png", 1, 2]]', WANTED), ('{"a": [["b"]]}', WANTED),
        ('[{"file": "a.png"}]', "expected objects with the keys file and label"),
        ('{"a.png": 1.5}', "entry 'a.png': expected a class index or a class name, got '1.5'"),
        ('[["a.png", 1], ["a.jpg", 1]]', "entry 2: lists 'a' twice"),
        ('{"0": "tench", "1": "goldfish"}', "has no label for 'a'; it lists the names of classes, "
         "which --class-names takes"),
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_json_without_labels_is_refused(tmp_path, content, message):
    path = tmp_path / "truth.json"
    path.write_text(content)
    inputs = folder(tmp_path / "imgs", "a")
    with refused(f"{path}: {message}"):
        find_all(inputs, path, n_classes=5, classes=IMAGENET)


def test_names_of_classes_given_as_labels_are_told(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("tench\ngoldfish\n")
    inputs = folder(tmp_path / "imgs", "a", "b")
    labels = find_all(inputs, path, n_classes=2, classes=("tench", "goldfish"))
    assert labels.sentences() == [
        "classes.txt names each class once, in the model's order; it is taken as the labels of the "
        "images in the order of their names, not as --class-names"
    ]


@pytest.mark.parametrize(
    ("header", "rows", "expected", "note"),
    [
        ("file,label,class_name", ("a,0,tench", "b,1,goldfish"), (0, 1), ""),
        ("file,label,class_name", ("a,1,tench", "b,2,goldfish"), (0, 1),
         "classes are counted from 1, as the column 'class_name' shows"),
        ("file,wnid,label", ("a,n01440764,1", "b,n01443537,2"), (0, 1),
         "classes are counted from 1, as the column 'wnid' shows"),
        ("file,label,category", ("a,0,animal", "b,1,fish"), (0, 1),
         "the column 'label' is taken for the labels, not 'category'"),
        ("file,Label,Target", ("a,0,", "b,1,"), (0, 1),
         "the column 'Label' is taken for the labels, not 'Target'"),
        ("file,label,class_id", ("a,1,0", "b,2,1"), (0, 1),
         "classes are counted from 1, as the column 'class_id' shows"),
        ("file,label,class_name", ("a,1,tench", "b,1,"), (0, 0),
         "classes are counted from 1, as the column 'class_name' shows"),
    ],
)  # fmt: skip
def test_several_columns_of_labels(tmp_path, table, header, rows, expected, note):
    inputs = folder(tmp_path / "imgs", "a", "b")
    labels = find_all(inputs, table(*rows, header=header), n_classes=5, classes=IMAGENET)
    assert tuple(labels.by_name.values()) == expected
    assert labels.sentences() == ([f"labels.csv: {note}"] if note else [])


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("file,label,class_name", ("a,0,tench", "b,1,tench"),
         "line 3: 'label' says class 1 ('n01443537 goldfish'), 'class_name' says class 0 "
         "('n01440764 tench, Tinca tinca')"),
        ("file,label,label", ("a,0,3", "b,1,3"),
         "line 2: 'label' says class 0 ('n01440764 tench, Tinca tinca'), 'label' says class 3 "
         "('n02012849 crane')"),
    ],
)  # fmt: skip
def test_columns_that_contradict_each_other_are_refused(tmp_path, table, header, rows, message):
    path, inputs = table(*rows, header=header), folder(tmp_path / "imgs", "a", "b")
    with refused(f"{path}: {message}; remove one of these columns"):
        find_all(inputs, path, n_classes=5, classes=IMAGENET)


def test_a_first_class_that_contradicts_the_names_is_refused(tmp_path, table):
    path = table("a,1,tench", header="file,label,class_name")
    inputs = folder(tmp_path / "imgs", "a")
    with refused(
        f"{path}: --first-class 0 contradicts the names in it, which show that the first class is 1"
    ):
        find_all(inputs, path, 0, n_classes=5, classes=IMAGENET)
