"""``rsparse classify``: images and a classifier in, predictions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsparse.core.metrics import Estimate, share_of
from rsparse.defended.classifier import DefendedClassifier
from rsparse.defended.judging import JudgeStep
from rsparse.defenses import NoDefense, Resources
from rsparse.models.diagnosis import hints
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.spec import InputOptions
from rsparse.options.classify import ClassifyParameters
from rsparse.options.labels import LabelOptions
from rsparse.store.csv_artifacts import refuse_existing_csv
from rsparse.store.files import refuse_existing, require_suffix
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.job import Job
from rsparse.store.journal import Entry, journal_beside
from rsparse.store.labels import Labels, find_labels
from rsparse.store.predictions import Prediction, save_predictions
from rsparse.store.records import PREDICTIONS
from rsparse.store.together import appear_together
from rsparse.work.device import choose_device
from rsparse.work.progress import SILENT, Progress, tell
from rsparse.work.runs import Outcome, refuse_all_failed, run_images, source_digests
from rsparse.work.workers import LocalWorkers, Workers

SUFFIXES = (".h5", ".hdf5", ".csv")


@dataclass
class ClassifyOutcome(Outcome):
    """Also holds the accuracy, and the predictions if no artifact was written."""

    class_names: tuple[str, ...] = ()
    label_origin: str = "none"
    hints: list[str] = field(default_factory=list)
    n_labelled: int = 0
    n_correct: int = 0
    predictions: list[Prediction] | None = None

    def count(self, rows: Sequence[Prediction]) -> None:
        """Count the labelled and the right ones of the predictions."""
        self.n_labelled = sum(row.label is not None for row in rows)
        self.n_correct = sum(bool(row.is_correct) for row in rows)

    def accuracy(self) -> Estimate | None:
        """The accuracy on the labelled images; None if there are none."""
        return share_of(self.n_correct, self.n_labelled) if self.n_labelled else None

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        accuracy = self.accuracy()
        content = {**super().as_json(), "labels": self.label_origin, "accuracy": None}
        content["hints"] = self.hints
        if accuracy is not None:
            content["accuracy"] = {
                "value": accuracy.value,
                "interval_95": [accuracy.low, accuracy.high],
                "correct": accuracy.correct,
                "labelled": accuracy.n,
            }
        if self.predictions is None:
            return content
        rows = [prediction_as_json(row, self.class_names) for row in self.predictions]
        return {**content, "output": None, "predictions": rows}


def prediction_as_json(row: Prediction, class_names: Sequence[str]) -> dict[str, Any]:
    """One image's prediction, for scripts."""
    content: dict[str, Any] = {"name": row.name}
    if row.label is not None:
        content |= {"label": row.label, "label_name": class_names[row.label]}
    content["top"] = [
        {"class": index, "class_name": class_names[index], "probability": probability}
        for index, probability in zip(row.classes, row.probabilities, strict=True)
    ]
    return content


def classify_images(
    paths: Sequence[Path],
    model: Path,
    output: Path | None,
    parameters: ClassifyParameters,
    input_options: InputOptions | None = None,
    *,
    labels: LabelOptions = LabelOptions(),
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> ClassifyOutcome:
    """Classify all images in ``paths``.

    Parameters
    ----------
    paths : sequence of Path
        Folders or images.
    model : Path
        The ONNX file.
    output : Path or None
        ``pred.h5`` or ``pred.csv``; if None, the outcome holds the predictions.
    parameters : ClassifyParameters
    input_options : InputOptions, optional
        The model's input, as given by the user.
    labels : LabelOptions
        The file of the correct classes; by default the images' own labels, if any.
    workers, overwrite, progress
        As for every stage.

    Raises
    ------
    InputError
        If an input cannot be used, the output exists, or no image could be classified.
    """
    _check_output(output, overwrite)
    inputs = load_inputs(paths)
    classifier = load_classifier(model, input_options).check()
    classifier.tell(progress)
    known_labels = find_labels(inputs, labels, classifier.class_names, classifier.n_classes)
    top = min(parameters.top, classifier.n_classes)
    device = choose_device(parameters.device, workers)
    job = _job(inputs, classifier, {"top": top, **device.record()})
    outcome = ClassifyOutcome(
        output or Path("-"),
        class_names=classifier.class_names,
        label_origin=known_labels.origin,
        passed_over=inputs.passed_over,
        notes=known_labels.sentences(),
    )
    defended = DefendedClassifier(NoDefense(), Resources(), [classifier], device, top)
    with journal_beside(output, job.identity(), overwrite) as journal:
        outcome.done, outcome.resumed, outcome.failed = run_images(
            inputs,
            journal,
            JudgeStep(defended, loads_in_processes=False),
            task="classify",
            workers=workers,
            progress=progress,
            shared_paths=[model],
            batch_size=parameters.batch_size,
        )
        refuse_all_failed(outcome.failed, outcome.done + outcome.resumed, None)
        tell(progress, outcome.notes)
        rows = [_prediction(entry, known_labels.by_name) for entry in journal.entries()]
        outcome.count(rows)
        outcome.hints = _hints(classifier, inputs, known_labels, rows)
        tell(progress, outcome.hints)
        if output is None:
            outcome.predictions = rows
            return outcome
        sources = [*inputs.sources(source_digests(journal)), classifier.source()]
        sources += known_labels.sources()
        record = job.record(sources, computed={"labels": known_labels.origin})
        with appear_together(output, journal) as members:
            save_predictions(output, record, rows, classifier.class_names, members)
    return outcome


def _job(inputs: ImageInputs, classifier: Classifier, values: Mapping[str, Any]) -> Job:
    known = {"model": classifier.sha256, "images": inputs.names_digest()}
    values = {**values, "input": classifier.input_record()}
    return Job("classify", PREDICTIONS, values, known=known)


def _hints(
    classifier: Classifier, inputs: ImageInputs, labels: Labels, rows: Sequence[Prediction]
) -> list[str]:
    if inputs.were_attacked():
        return []  # wrong because of the attack
    predicted = {row.name: row.classes[0] for row in rows}
    return hints(classifier, inputs.images, labels.by_name, predicted)


def _check_output(output: Path | None, overwrite: bool) -> None:
    if output is None:
        return
    require_suffix(output, *SUFFIXES)
    if output.suffix.lower() == ".csv":
        refuse_existing_csv(output, overwrite)
    else:
        refuse_existing(output, overwrite)


def _prediction(entry: Entry, labels: Mapping[str, int]) -> Prediction:
    return Prediction(
        entry["name"],
        entry["source_sha256"],
        labels.get(entry["name"]),
        tuple(entry["classes"][0]),
        tuple(entry["probabilities"][0]),
    )
