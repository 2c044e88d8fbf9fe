"""Find the labels of images: class indices from a CSV file, a manifest or class subfolders."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rsparse.errors import InputError
from rsparse.store.files import read_bytes
from rsparse.store.images import image_name
from rsparse.store.inputs import ImageInputs


def find_labels(
    inputs: ImageInputs, csv_file: Path | None, class_names: Sequence[str], n_classes: int
) -> tuple[dict[str, int], str]:
    """Find the labels of all images, by name, and say where they come from.

    They come from ``csv_file`` if given, else from the manifests beside the images, else from
    class subfolders (``cat/01.png``) if every image is in a subfolder named after a class.

    Returns
    -------
    labels : dict of str to int
        Empty if nothing was found.
    origin : str
        The CSV file's name, ``"manifest"``, ``"class subfolders"`` or ``"none"``.

    Raises
    ------
    InputError
        If the CSV file does not match the images, or a label is not a class of the model.
    """
    names = [image.name for image in inputs.images]
    if csv_file is not None:
        whole = not inputs.have_records() and all(path.is_dir() for path in inputs.paths)
        labels, origin = _from_csv(csv_file, names, class_names, whole), csv_file.name
    elif len(inputs.labels) == len(names):
        labels, origin = dict(inputs.labels), "manifest"
    else:
        labels = _from_subfolders(names, class_names)
        origin = "class subfolders" if labels else "none"
    for name, label in labels.items():
        if not 0 <= label < n_classes:
            raise InputError(
                f"{origin}: label of {name!r}: expected a class from 0 to {n_classes - 1}, "
                f"got {label}"
            )
    return labels, origin


def _from_subfolders(names: Sequence[str], class_names: Sequence[str]) -> dict[str, int]:
    index = _index(class_names)
    folders = [PurePosixPath(name).parent.name for name in names]
    if not all(folder in index for folder in folders):
        return {}
    return {name: index[folder] for name, folder in zip(names, folders, strict=True)}


def _from_csv(
    path: Path, names: Sequence[str], class_names: Sequence[str], whole: bool
) -> dict[str, int]:
    """Labels by image name; ``whole`` also refuses rows for missing images.

    An artifact may lack images that the file lists, for example one of an attack with
    --only-correct; such rows are accepted.
    """
    rows = read_label_rows(path, class_names)
    labels = {}
    for name in names:
        parts = name.split("/")
        tails = ["/".join(parts[start:]) for start in range(len(parts))]
        key = next((tail for tail in tails if tail in rows), None)
        if key is None:
            raise InputError(f"{path}: has no label for {name!r}")
        labels[name] = rows[key]
        if whole and key != name:
            whole = False  # images from several folders share the file's rows
    if whole and len(rows) > len(labels):
        extra = sorted(set(rows) - set(labels))
        more = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
        rows_text = "that row" if len(extra) == 1 else "those rows"
        raise InputError(
            f"{path}: lists {extra[0]!r}{more}, not among the images; remove {rows_text}"
        )
    return labels


def read_label_rows(path: Path, class_names: Sequence[str]) -> dict[str, int]:
    """Read a CSV file with the columns ``file`` and ``label`` (class index or class name).

    Returns
    -------
    dict of str to int
        Class index by image name (the file's path without its suffix).

    Raises
    ------
    InputError
        If a column is missing, a file is listed twice, or a label is not a class.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text") from error
    index = _index(class_names)
    rows: dict[str, int] = {}
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if not {"file", "label"} <= set(reader.fieldnames or ()):
            raise InputError(f"{path}: expected a header with the columns file and label")
        for row in reader:
            file = (row["file"] or "").strip().replace("\\", "/")
            if not file:
                raise InputError(f"{path}: line {reader.line_num}: has no file name")
            name = image_name(PurePosixPath(file).as_posix())
            if name in rows:
                raise InputError(f"{path}: line {reader.line_num}: lists {name!r} twice")
            label = (row["label"] or "").strip()
            if label in class_names and label not in index:
                raise InputError(
                    f"{path}: line {reader.line_num}: several classes are named {label!r}; "
                    "give the class index"
                )
            rows[name] = _class_index(label, index, path, reader.line_num)
    except csv.Error as error:
        raise InputError(f"{path}: is not a valid CSV file: {error}") from error
    return rows


def _index(class_names: Sequence[str]) -> dict[str, int]:
    """Class indices by class name, without names that several classes share."""
    counts = Counter(class_names)
    return {name: number for number, name in enumerate(class_names) if counts[name] == 1}


def _class_index(text: str, index: dict[str, int], path: Path, line: int) -> int:
    if text in index:
        return index[text]
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise InputError(
            f"{path}: line {line}: expected a class index or a class name, got {text!r}"
        )
    return int(text)
