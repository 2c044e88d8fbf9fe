"""Read files of labels: tables, JSON, lists of files and classes, and classes in order."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rsparse.errors import InputError
from rsparse.store.class_index import ClassIndex, FoundClass
from rsparse.store.csv_text import text_of
from rsparse.store.files import read_bytes
from rsparse.store.images import image_name
from rsparse.store.label_columns import OtherColumn, compare
from rsparse.store.label_json import JsonRows, json_rows

FILE_COLUMNS = (
    "file", "filename", "image", "imageid", "imagefile", "imagename", "path", "filepath",
    "imagepath", "name",
)  # fmt: skip
TRUE_LABEL = "truelabel"
PREDICTION_STRING = "predictionstring"  # Kaggle's ImageNet: a class, then boxes
LABEL_COLUMNS = (
    "label", TRUE_LABEL, "class", "classid", "classindex", "classnumber", "target", "category",
    "synset", "wnid", PREDICTION_STRING, "classname", "labelname",
)  # fmt: skip

_SEPARATOR_LINE = re.compile(r"sep=([,;\t])\r?\n")
"""A first line by which spreadsheets name the separator."""


@dataclass(frozen=True)
class LabelFile:
    """The labels in a file: by image name, or one for each image in the order of their names.

    Attributes
    ----------
    path : Path
    by_name : dict of str to FoundClass
        By the name (path without suffix) of the image.
    in_order : list of FoundClass
    column : str
        The name of the labels' column, in lower case without separators; "" if there is none.
    first_class : int or None
        The number of the first class, if another column shows it.
    notes : tuple of str
        Sentences on columns.
    """

    path: Path
    by_name: dict[str, FoundClass] = field(default_factory=dict)
    in_order: list[FoundClass] = field(default_factory=list)
    column: str = ""
    first_class: int | None = None
    notes: tuple[str, ...] = ()

    def classes(self) -> list[FoundClass]:
        """All labels."""
        return [*self.by_name.values(), *self.in_order]


def read_label_file(path: Path, index: ClassIndex) -> LabelFile:
    """Read the labels in a file.

    A table (CSV, also with semicolons or tabs) has a header with a column of files and one of
    labels. JSON has the same as objects, one object or list of files and classes, or a list of
    classes (``label_json``). Another text has a file and its class on each line, or only a class,
    in the order of the images' names.

    Raises
    ------
    InputError
        If a column is missing, a file is listed twice, a label is not a class, or two columns name
        different classes.
    """
    text = _text(read_bytes(path), path)
    in_json = json_rows(text, path)
    if in_json is not None:
        return _from_json(in_json, path, index)
    first = next((line for line in text.splitlines() if line.strip()), "")
    named = _SEPARATOR_LINE.match(text)
    delimiter = named[1] if named else max(",;\t", key=first.count)
    try:
        found = _table(text, delimiter, path, index)
    except csv.Error as error:
        raise InputError(f"{path}: is not a valid CSV file: {error}") from error
    if found is not None:
        return found
    if not first or path.suffix.lower() in (".csv", ".tsv"):
        raise InputError(f"{path}: expected a header with the columns file and label")
    return _lines(text, path, index)


def _text(content: bytes, path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 as spreadsheets write it, with its mark."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text; save it as UTF-8") from error


def columns_of(line: str) -> list[str]:
    """The names of the columns in a table's first line, in lower case without separators."""
    return [_folded(cell) for cell in line.split(max(",;\t", key=line.count))]


def _folded(cell: str) -> str:
    """A column's name without case, quotes and separators."""
    return re.sub(r"[\s_\"-]+", "", cell).casefold()


def _table(text: str, delimiter: str, path: Path, index: ClassIndex) -> LabelFile | None:
    """The labels in a table; None if it has no header with the columns."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = (row for row in reader if any(cell.strip() for cell in row))
    header = next(rows, [])
    if len(header) <= 2 and _SEPARATOR_LINE.match(text):
        header = next(rows, [])
    return _labels(header, ((f"{path}: line {reader.line_num}", row) for row in rows), path, index)


def _from_json(content: JsonRows, path: Path, index: ClassIndex) -> LabelFile:
    rows = [(f"{path}: {where}", cells) for where, cells in content.rows]
    if not content.header:
        return LabelFile(path, in_order=[_class(cells[0], index, where) for where, cells in rows])
    found = _labels(content.header, rows, path, index)
    if found is None:
        raise InputError(f"{path}: expected objects with the keys file and label")
    return found


def _labels(
    header: Sequence[str], rows: Iterable[tuple[str, list[str]]], path: Path, index: ClassIndex
) -> LabelFile | None:
    """The labels in rows, each with its place for messages; None without the columns."""
    columns = [_folded(cell) for cell in header]
    file_column = next((columns.index(name) for name in FILE_COLUMNS if name in columns), None)
    places = [n for name in LABEL_COLUMNS for n, own in enumerate(columns) if own == name]
    if file_column is None or not places:
        return None
    place, *more = places
    others = [OtherColumn(header[n].strip(), n) for n in more]
    by_name: dict[str, FoundClass] = {}
    for where, row in rows:
        cells = [text_of(cell.strip()) for cell in row] + [""] * (len(header) - len(row))
        label = _class(_label_in(cells, place, columns), index, where)
        _add(by_name, row[file_column].strip() if file_column < len(row) else "", label, where)
        for other in others:
            other.add(where, label, _label_in(cells, other.place, columns), index)
    first, notes = compare(header[place].strip(), others, index)
    return LabelFile(path, by_name, column=columns[place], first_class=first, notes=notes)


def _label_in(cells: Sequence[str], place: int, columns: Sequence[str]) -> str:
    """The label in a row; the column of Kaggle's ImageNet has boxes after it."""
    text = cells[place]
    return (text.split() or [""])[0] if columns[place] == PREDICTION_STRING else text


def _lines(text: str, path: Path, index: ClassIndex) -> LabelFile:
    lines = list(_numbered_lines(text))
    found = LabelFile(path)
    if index.find(lines[0][1]) is not None or len(lines[0][1].split()) == 1:
        found.in_order.extend(_class(line, index, f"{path}: line {n}") for n, line in lines)
        return found
    for number, line in lines:
        where = f"{path}: line {number}"
        file, *label = line.rsplit(maxsplit=1)
        if not label:
            raise InputError(f"{where}: expected a file and its class, got {line!r}")
        _add(found.by_name, file.rstrip(","), _class(label[0], index, where), where)
    return found


def _numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    return ((n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip())


def _add(by_name: dict[str, FoundClass], file: str, label: FoundClass, where: str) -> None:
    if not file:
        raise InputError(f"{where}: has no file name")
    name = image_name(PurePosixPath(file.replace("\\", "/")).as_posix())
    if name in by_name:
        raise InputError(f"{where}: lists {name!r} twice")
    by_name[name] = label


def _class(text: str, index: ClassIndex, where: str) -> FoundClass:
    found = index.find(text)
    if found is None and index.is_ambiguous(text):
        raise InputError(f"{where}: several classes are named {text!r}; give the class index")
    if found is None:
        raise InputError(f"{where}: expected a class index or a class name, got {text!r}")
    return found


def match_names(file: LabelFile, names: Sequence[str]) -> tuple[dict[str, FoundClass], str]:
    """The labels of images by name, and a sentence if some labels belong to none of them.

    The folders of an image may differ from those in the file, as long as the rest of its path
    identifies it.

    Raises
    ------
    InputError
        If an image has no label.
    """
    if file.in_order:
        return _match_order(file, names)
    tails = _tails_of_rows(file)
    labels, used = {}, set()
    missing = []
    for name in names:
        parts = name.split("/")
        own = ("/".join(parts[start:]) for start in range(len(parts)))
        key = next((tail for tail in own if tail in file.by_name), tails.get(name))
        if key is None:
            missing.append(name)
        else:
            labels[name] = file.by_name[key]
            used.add(key)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        hint = (
            "; it lists the names of classes, which --class-names takes"
            if not labels and _is_index(file)
            else ""
        )
        raise InputError(f"{file.path}: has no label for {missing[0]!r}{more}{hint}")
    return labels, _unused(file.path, len(file.by_name), len(used))


def _is_index(file: LabelFile) -> bool:
    """Whether a file has names by number, as a file of class names has."""
    numbers = sorted(int(row) for row in file.by_name if row.isdecimal() and row.isascii())
    are_names = not any(label.is_number for label in file.by_name.values())
    return are_names and numbers == list(range(len(file.by_name)))


def _tails_of_rows(file: LabelFile) -> dict[str, str | None]:
    """The rows with folders by the ends of their paths; None where several rows have one."""
    tails: dict[str, str | None] = {}
    for row in file.by_name:
        parts = row.split("/")
        for start in range(1, len(parts)):
            tail = "/".join(parts[start:])
            tails[tail] = None if tail in tails else row
    return tails


def _unused(path: Path, n: int, used: int) -> str:
    if used == n:
        return ""
    verb = "belongs to no image here and is" if n - used == 1 else "belong to no image here and are"
    return f"{path.name}: {n - used} of its {n} labels {verb} not used"


def _match_order(file: LabelFile, names: Sequence[str]) -> tuple[dict[str, FoundClass], str]:
    """One label for each image in the order of names, or by the numbers at their ends."""
    n, labels = len(file.in_order), file.in_order
    numbers = [_number_at_end(name) for name in names]
    are_lines = len(set(numbers)) == len(names) and all(0 < number <= n for number in numbers)
    if are_lines and (len(names) < n or min(numbers) == 1):
        found = {name: labels[k - 1] for name, k in zip(names, numbers, strict=True)}
        unused = _unused(file.path, n, len(names))
        return found, unused and f"{unused}; {names[0]!r} has that of line {numbers[0]}"
    if len(names) != n:
        raise InputError(
            f"{file.path}: has {n} labels for {len(names)} images; give a CSV file with the "
            "columns file and label"
        )
    begins = {re.sub(r"[0-9]+\Z", "", name) for name in names}
    if len(begins) == 1 and len(set(map(len, names))) > 1:
        raise InputError(
            f"{file.path}: has labels in the order of the images' names, which is not clear "
            "because their numbers differ in length; give a CSV file with the columns file and "
            "label"
        )
    return dict(zip(sorted(names), labels, strict=True)), ""


def _number_at_end(name: str) -> int:
    """The number at the end of a name, 0 if there is none."""
    found = re.search(r"[0-9]{1,18}\Z", name)
    return int(found[0]) if found else 0
