"""Photographs of ImageNet in the layout of ``--shared``: ``photos/`` and ``train/`` with labels."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.options.labels import LabelOptions
from rsparse.store.files import write_atomic
from rsparse.store.images import ImageFile, decode_image
from rsparse.store.inputs import load_inputs
from rsparse.store.journal import to_line
from rsparse.store.labels import find_labels
from studies.tables import Row, write_rows

CHOSEN = "chosen.json"
_AT_ONCE = 8
_TRIED = 64  # photographs after which the classifier must have been right at least once in ten
_LEAST = 0.1


class Wanted(NamedTuple):
    """How many photographs to take, and the seed of the choice.

    Attributes
    ----------
    photographs : int
        Photographs that the classifier gets right, to judge.
    training : int
        Others, for dictionaries and retraining, whatever the classifier makes of them.
    seed : int
    """

    photographs: int = 1000
    training: int = 1000
    seed: int = 0


def choose(
    images: Path, labels: LabelOptions, classifier: Path, place: Path, wanted: Wanted
) -> None:
    """Copy the chosen photographs to ``place/photos`` and ``place/train``, each with labels.csv.

    The photographs are taken in a random order. Nothing is done if they are there already.

    Parameters
    ----------
    images : Path
        ImageNet's validation photographs in any layout whose labels rsparse finds: subfolders of
        WordNet identifiers, or one folder and a file of labels.
    labels : LabelOptions
    classifier : Path
        The ONNX file of the classifier that has to be right.
    place : Path
    wanted : Wanted

    Raises
    ------
    InputError
        If the labels cannot be found or are wrong, there are too few photographs, or ``place``
        has another choice.
    """
    inputs = load_inputs([images])
    loaded = load_classifier(classifier)
    chosen = {**wanted._asdict(), "images": inputs.names_digest(), "classifier": loaded.sha256}
    if _is_chosen(place, chosen):
        return
    found = find_labels(inputs, labels, identified_names(), loaded.n_classes)
    if not found.by_name:
        raise InputError(f"{images}: no labels: {found.reason}")
    order = np.random.default_rng(wanted.seed).permutation(len(inputs.images))
    shuffled = [inputs.images[number] for number in order]
    photos, rest = _split(shuffled, found.by_name, loaded, wanted)
    for name, some in (("photos", photos), ("train", rest)):
        _write(place / name, some, found.by_name)
    write_atomic(place / CHOSEN, to_line(chosen))


def identified_names() -> list[str]:
    """ImageNet's class names after their WordNet identifiers: ``n01440764 tench, Tinca tinca``."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    return [
        f"{info.index_to_label_name(number)} {info.index_to_description(number)}"
        for number in range(info.num_classes())
    ]


def _is_chosen(place: Path, wanted: Mapping[str, Any]) -> bool:
    path = place / CHOSEN
    if not path.exists():
        return False
    if json.loads(path.read_text(encoding="utf-8")) != wanted:
        raise InputError(
            f"{path}: other photographs were chosen here; use another folder, or the same images, "
            "classifier, numbers and seed"
        )
    return True


def _split(
    shuffled: Sequence[ImageFile],
    labels: Mapping[str, int],
    classifier: Classifier,
    wanted: Wanted,
) -> tuple[list[ImageFile], list[ImageFile]]:
    """The first photographs that the classifier gets right, and those after them."""
    right: list[ImageFile] = []
    for tried, (image, is_right) in enumerate(_judged(shuffled, labels, classifier), start=1):
        right += [image] if is_right else []
        if tried == _TRIED and len(right) < _LEAST * _TRIED:
            raise InputError(
                f"the classifier gets {len(right)} of {tried} photographs right; the labels may "
                "count classes in another order"
            )
        if len(right) == wanted.photographs:
            break
    rest = list(shuffled[tried : tried + wanted.training])
    if len(right) < wanted.photographs or len(rest) < wanted.training:
        raise InputError(
            f"expected {wanted.photographs} photographs that the classifier gets right and "
            f"{wanted.training} others, got {len(right)} and {len(rest)} of {len(shuffled)}"
        )
    return right, rest


def _judged(
    images: Sequence[ImageFile], labels: Mapping[str, int], classifier: Classifier
) -> Iterator[tuple[ImageFile, bool]]:
    for start in range(0, len(images), _AT_ONCE):
        some = images[start : start + _AT_ONCE]
        pixels = [decode_image(image.path.read_bytes(), image.path) for image in some]
        fitted = np.stack([classifier.fit_to_input(each) for each in pixels])
        for image, best in zip(some, classifier.logits(fitted).argmax(axis=1), strict=True):
            yield image, bool(best == labels[image.name])


def _write(folder: Path, images: Sequence[ImageFile], labels: Mapping[str, int]) -> None:
    """A folder of these photographs, replacing what an interrupted run left."""
    shutil.rmtree(folder, ignore_errors=True)
    rows: list[Row] = []
    for image in images:
        file = f"{image.name}{image.path.suffix}"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        _link(image.path, folder / file)
        rows.append({"file": file, "label": str(labels[image.name])})
    write_rows(folder / "labels.csv", rows)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)
