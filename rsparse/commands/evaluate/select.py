"""The first step of an evaluation: select the images to judge.

The images are fitted to the model's input and saved as PNG, with their labels. With
``only_correct``, images that the model misclassifies are left out.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.models.diagnosis import hints
from rsparse.models.onnx.classifier import Classifier
from rsparse.store.entries import require_keys
from rsparse.store.files import safe_join, sha256_of
from rsparse.store.finding import PassedOver
from rsparse.store.folders import OutputFolder, is_finished, read_manifest, record_of
from rsparse.store.images import ImageFile
from rsparse.store.inputs import Digests, load_inputs
from rsparse.store.job import Job
from rsparse.store.journal import Entry, to_line
from rsparse.store.labels import Labels
from rsparse.store.records import IMAGES, Source
from rsparse.work.progress import SILENT, Progress, tell
from rsparse.work.runs import load_image, refuse_all_failed, run_images, save_png
from rsparse.work.runs import source_digests as digests_of
from rsparse.work.steps import OneByOne, failure
from rsparse.work.workers import LocalWorkers, Workers


@dataclass(frozen=True)
class Selection:
    """The images to judge.

    Attributes
    ----------
    folder : Path
        Their folder.
    images : sequence of ImageFile
        The files of the benign images, also of those that were left out.
    entries : list of Entry
        Entries of its manifest, sorted by name: ``label``, ``prediction``, ``source_sha256``, ….
    record : mapping
        The folder's record.
    label_origin : str
    left_out : int
        Images left out because the model misclassifies them.
    failed : list of Entry
    candidates : dict of str to int
        The labels by name of all images that could be selected, with those left out.
    sources : sequence of Source
        These images as inputs of a record.
    passed_over : PassedOver
        Files that look like pictures but were not read.
    notes : list of str
        Sentences about the labels.
    """

    folder: Path
    images: Sequence[ImageFile]
    entries: list[Entry]
    record: Mapping[str, Any]
    label_origin: str
    left_out: int
    failed: list[Entry]
    candidates: dict[str, int]
    sources: Sequence[Source]
    passed_over: PassedOver
    notes: list[str]

    @property
    def labels(self) -> dict[str, int]:
        """The labels by name."""
        return {entry["name"]: entry["label"] for entry in self.entries}


@dataclass(frozen=True)
class SelectStep:
    """Fits one image to the model's input, classifies it and writes it.

    An image without a label gets the prediction as its label.
    """

    classifier: Classifier
    labels: Mapping[str, int]
    output: Path

    def __call__(self, image: ImageFile) -> Entry:
        pixels, digest = load_image(image)
        fitted = self.classifier.fit_to_input(pixels)
        prediction = int(self.classifier.logits([fitted])[0].argmax())
        return {
            **save_png(self.output, image.name, fitted),
            "source_sha256": digest,
            "label": self.labels.get(image.name, prediction),
            "prediction": prediction,
        }


class _SelectionInputs:
    """The inputs and parameters of a selection, which identify it."""

    def __init__(
        self,
        paths: Sequence[Path],
        classifier: Classifier,
        labels: Labels,
        only_correct: bool,
        limit: int | None,
        among: Container[str] | None,
    ) -> None:
        inputs = load_inputs(paths)
        self.labels, self.classifier = labels, classifier
        names = [i.name for i in inputs.images if among is None or i.name in among]
        self.inputs = inputs.only(_evenly_spaced(names, limit))
        self.only_correct = only_correct
        self.parameters = {
            "only_correct": only_correct,
            "limit": limit,
            "labels": labels.origin,
            "input": classifier.input_record(),
        }

    def job(self) -> Job:
        """The job of the selection."""
        known = {
            "model": self.classifier.sha256,
            "images": self.inputs.names_digest(),
            "labels": sha256_of(to_line(self.labels.by_name)),
        }
        return Job("select", IMAGES, self.parameters, known=known)

    def sources(self, digests: Digests) -> list[Source]:
        """The sources of the selection, given the digests of the images by name."""
        return [*self.inputs.sources(digests), self.classifier.source(), *self.labels.sources()]


def select_images(
    paths: Sequence[Path],
    classifier: Classifier,
    output: Path,
    labels: Labels,
    *,
    only_correct: bool = True,
    limit: int | None = None,
    among: Container[str] | None = None,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Selection:
    """Write the images to judge into the folder ``output``, or read the existing selection.

    ``among`` restricts the choice to images of these names.

    Raises
    ------
    InputError
        If an input cannot be used, no image is left, or ``output`` contains another selection.
    """
    choice = _SelectionInputs(paths, classifier, labels, only_correct, limit, among)
    tell(progress, choice.labels.sentences())
    if overwrite or not is_finished(output):
        _write(choice, output, workers, overwrite, progress)
    return _read(choice, output)


def _write(
    choice: _SelectionInputs, output: Path, workers: Workers, overwrite: bool, progress: Progress
) -> None:
    folder = OutputFolder.open(output, choice.job().identity(), choice.inputs.paths, overwrite)
    step = SelectStep(choice.classifier, choice.labels.by_name, output)
    done, resumed, failed = run_images(
        choice.inputs,
        folder.journal,
        OneByOne(step),
        task="select",
        workers=workers,
        progress=progress,
        folder=output,
        shared_paths=[*choice.inputs.paths, choice.classifier.path],
    )
    refuse_all_failed(failed, done + resumed, folder)
    record = choice.job().record(choice.sources(digests_of(folder.journal)))
    predicted = {entry["name"]: entry["prediction"] for entry in folder.journal.entries()}
    for hint in hints(choice.classifier, choice.inputs.images, choice.labels.by_name, predicted):
        progress.message(hint)
    if choice.only_correct:
        _drop_wrong(folder, done + resumed)
    folder.finish(record, failed)


def _drop_wrong(folder: OutputFolder, n_images: int) -> None:
    wrong = [e for e in folder.journal.entries() if e["prediction"] != e["label"]]
    if len(wrong) == n_images:
        folder.journal.close()
        raise InputError(
            f"none of the {n_images} images is classified correctly, so none is left to attack; "
            "check the labels and the model's input, or pass --all-images"
        )
    for entry in wrong:
        folder.journal.drop(entry["name"])
        safe_join(folder.path, entry["file"]).unlink(missing_ok=True)


def _read(choice: _SelectionInputs, output: Path) -> Selection:
    manifest = read_manifest(output)
    if manifest is None:
        raise InputError(f"{output}: contains other files; choose another output")
    require_keys(manifest, output)
    record, inputs = record_of(manifest), choice.inputs
    errors = {entry["name"]: entry["error"] for entry in manifest["failed"]}
    digests = inputs.digests(without=errors)
    otherwise = "contains an evaluation of other images, other labels or another model"
    choice.job().require_match(output.parent, record, choice.sources(digests), otherwise)
    failed = [
        failure(image, InputError(errors[image.name]))
        for image in inputs.images
        if image.name in errors
    ]
    failed += inputs.failed
    entries = sorted(manifest["images"], key=lambda entry: str(entry["name"]))
    labels = {**{entry["name"]: entry["label"] for entry in entries}, **choice.labels.by_name}
    return Selection(
        output,
        inputs.images,
        entries,
        record,
        choice.labels.origin,
        len(digests) - len(entries),
        failed,
        {name: labels[name] for name in digests},
        inputs.sources(digests),
        inputs.passed_over,
        choice.labels.sentences(),
    )


def _evenly_spaced(names: Sequence[str], limit: int | None) -> frozenset[str]:
    """At most ``limit`` names, evenly spaced in the list."""
    if limit is None or limit >= len(names):
        return frozenset(names)
    return frozenset(names[i * len(names) // limit] for i in range(limit))
