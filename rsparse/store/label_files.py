"""Read files of labels: tables with a header, lists of files and classes, and classes in order."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rsparse.errors import InputError
from rsparse.store.class_index import ClassIndex, FoundClass
from rsparse.store.csv_text import text_of
from rsparse.store.files import read_bytes
from rsparse.store.images import image_name

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
    """

    path: Path
    by_name: dict[str, FoundClass] = field(default_factory=dict)
    in_order: list[FoundClass] = field(default_factory=list)
    column: str = ""

    def classes(self) -> list[FoundClass]:
        """All labels."""
        return [*self.by_name.values(), *self.in_order]


def read_label_file(path: Path, index: ClassIndex) -> LabelFile:
    """Read the labels in a file.

    A table (CSV, also with semicolons or tabs) has a header with a column of files and one of
    labels. Another text has a file and its class on each line, or only a class, in the order of
    the images' names.

    Raises
    ------
    InputError
        If a column is missing, a file is listed twice, or a label is not a class.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text") from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        found = _table(text, max(",;\t", key=first.count), path, index)
    except csv.Error as error:
        raise InputError(f"{path}: is not a valid CSV file: {error}") from error
    if found is not None:
        return found
    if not first or path.suffix.lower() in (".csv", ".tsv"):
        raise InputError(f"{path}: expected a header with the columns file and label")
    return _lines(text, path, index)


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
    columns = [_folded(cell) for cell in next(rows, [])]
    file_column = next((columns.index(name) for name in FILE_COLUMNS if name in columns), None)
    column = next((name for name in LABEL_COLUMNS if name in columns), None)
    if file_column is None or column is None:
        return None
    label_column = columns.index(column)
    found = LabelFile(path, column=column)
    for row in rows:
        where = f"{path}: line {reader.line_num}"
        file, label = (row[i].strip() if i < len(row) else "" for i in (file_column, label_column))
        if column == PREDICTION_STRING:
            label = (label.split() or [""])[0]
        _add(found.by_name, file, _class(text_of(label), index, where), where)
    return found


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
        raise InputError(f"{file.path}: has no label for {missing[0]!r}{more}")
    return labels, _unused(file.path, len(file.by_name), len(used))


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
