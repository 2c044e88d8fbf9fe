"""The evidence on the images of an evaluation: other inputs of the model, copies, training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.commands.evaluate.layout import Matrix
from rsparse.commands.evaluate.select import Selection
from rsparse.core.copies import SIDE, count_strangers, find_copies
from rsparse.errors import InputError
from rsparse.evaluation.checks import ImageEvidence
from rsparse.evaluation.checks.evidence import Classes, ModelAnswers
from rsparse.models.diagnosis import other_specs
from rsparse.models.fit import Fit
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.resize import resize
from rsparse.models.spec import InputSpec
from rsparse.store.files import read_bytes, safe_join
from rsparse.store.images import Pixels, decode_image, to_unit
from rsparse.store.inputs import load_inputs
from rsparse.store.journal import Entry

MOST_READ = 100
"""The number of images that are classified again for other inputs of the model."""

MOST_COMPARED = 5000
"""The number of images that are compared with each other; more are only compared by digest."""


def image_evidence(matrix: Matrix, selection: Selection) -> ImageEvidence:
    """Collect the evidence on the images; some are classified again for other inputs.

    Raises
    ------
    InputError
        If a selected image cannot be read.
    """
    labels = selection.candidates
    counts = Counter(labels.values())
    pictures = list(_some_pictures(matrix, labels))
    return ImageEvidence(
        most_frequent=max(counts.values()) / len(labels),
        labels=np.array([labels[name] for name, _ in pictures], np.int64),
        answers={name: _answers(model, pictures, labels) for name, model in matrix.models.items()},
        copies=_copies(selection),
        unreadable=len(selection.failed),
        learned_from=list(_learned_from(matrix, selection)),
    )


def _some_pictures(matrix: Matrix, labels: Mapping[str, int]) -> Iterator[tuple[str, Pixels]]:
    """Some of the labelled images, evenly spaced."""
    names = sorted(labels)
    chosen = names[:: -(-len(names) // MOST_READ)]
    for image in load_inputs(matrix.plan.images).only(chosen).images:
        try:
            yield image.name, decode_image(image.read(), image.path)
        except InputError:
            continue  # the selection has named it


def _answers(
    model: Classifier, pictures: Sequence[tuple[str, Pixels]], labels: Mapping[str, int]
) -> ModelAnswers:
    """The model's classes, also for other inputs unless all of them are right."""
    images = [model.fit_to_input(pixels) for _, pixels in pictures]
    given = _classes(model, images)
    if all(labels[name] == answer for (name, _), answer in zip(pictures, given, strict=True)):
        return ModelAnswers(given)
    others = {
        text: classes
        for text, spec in other_specs(model.spec)
        if (classes := _classes_if_finite(model, spec, images)) is not None
    }
    return ModelAnswers(given, others)


def _classes_if_finite(
    classifier: Classifier, spec: InputSpec, pictures: Sequence[Pixels]
) -> Classes | None:
    """The classes for an input prepared as in ``spec``; None if the scores are not finite."""
    try:
        return _classes(classifier.with_spec(spec), pictures)
    except InputError:
        return None


def _classes(classifier: Classifier, images: Sequence[Pixels]) -> Classes:
    """The class of each image, one by one so that memory does not grow."""
    classes = [int(classifier.logits([image])[0].argmax()) for image in images]
    return np.array(classes, np.int64)


def _copies(selection: Selection) -> list[tuple[str, str]]:
    """Pairs of selected images that show the same picture, by digest and by thumbnail."""
    entries = selection.entries
    first: dict[str, str] = {}
    same = {}
    for entry in entries:
        name = first.setdefault(entry["sha256"], entry["name"])
        if name != entry["name"]:
            same[entry["name"]] = name
    if 1 < len(entries) <= MOST_COMPARED:
        for i, j in find_copies(_thumbnails(selection.folder, entries)):
            same.setdefault(entries[j]["name"], entries[i]["name"])
    return sorted((original, copy) for copy, original in same.items())


def _thumbnails(folder: Path, entries: Sequence[Entry]) -> NDArray[np.float32]:
    """Thumbnails of a folder's images, (n, side, side, 3), in grey levels."""
    thumbnails = []
    for entry in entries:
        path = safe_join(folder, entry["file"])
        pixels = to_unit(decode_image(read_bytes(path), path))
        thumbnails.append(255 * resize(pixels, Fit((SIDE, SIDE))))
    return np.stack(thumbnails)


def strangers_among(selection: Selection, folder: Path, entries: Mapping[str, Entry]) -> int:
    """The number of images in a folder that look like another selected image than their own."""
    known = [entry for entry in selection.entries if entry["name"] in entries]
    if not 1 < len(known) <= MOST_COMPARED:
        return 0
    changed = [entries[entry["name"]] for entry in known]
    return count_strangers(_thumbnails(folder, changed), _thumbnails(selection.folder, known))


def _learned_from(matrix: Matrix, selection: Selection) -> Iterator[str]:
    """The names of the models and dictionaries in whose records the images are an input.

    Also that of the detector's reference, if a judged image is among its clean ones.
    """
    digests = {source.sha256 for source in selection.sources}
    sources = [model.source() for model in matrix.models.values()]
    for source in (*sources, *matrix.judging.dictionaries.values()):
        if digests & set(_digests_in(source.record)):
            yield source.name
    own = [entry[key] for entry in selection.entries for key in ("sha256", "source_sha256")]
    if matrix.watch is not None and matrix.watch.knows_any(own):
        yield matrix.watch.source.name


def _digests_in(record: Mapping[str, Any] | None) -> Iterator[str]:
    """The digests of all inputs of a record, and of theirs."""
    inputs: Iterable[Any] = (record or {}).get("inputs", ())
    for source in inputs:
        yield str(source.get("sha256"))
        yield from _digests_in(source.get("record"))
