"""``rsparse attention``: images and a classifier in, class activation maps out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.core.attention import overlay_map, stretch_to_unit
from rsparse.errors import InputError, as_text
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.onnx.probes import Explainer, probe_of
from rsparse.models.spec import InputOptions
from rsparse.options.attention import AttentionParameters
from rsparse.options.labels import LabelOptions
from rsparse.options.specs import nearest
from rsparse.pictures.sheet import Cell, contact_sheet
from rsparse.store.folders import OutputFolder
from rsparse.store.given import is_folder_of_images
from rsparse.store.images import ImageFile
from rsparse.store.inputs import ImageInputs, load_inputs, names_of
from rsparse.store.job import Job
from rsparse.store.joins import JoinedImage, join_inputs
from rsparse.store.journal import Entry
from rsparse.store.labels import find_labels
from rsparse.store.records import IMAGES, Source
from rsparse.work.progress import SILENT, Progress, tell
from rsparse.work.runs import Outcome, load_image, refuse_all_failed, run_images, save_png
from rsparse.work.steps import OneByOne
from rsparse.work.workers import LocalWorkers, Workers

PREDICTED, LABEL = "predicted", "label"


@dataclass(frozen=True)
class ExplainedImage:
    """One version of an image, with the prediction and the map of the explained class."""

    pixels: NDArray[np.uint8]
    overlay: NDArray[np.uint8]
    sha256: str
    predicted: int
    probability: float
    explained: int
    explained_probability: float

    def as_entry(self) -> Entry:
        """The version's part of the manifest entry."""
        return {
            "sha256": self.sha256,
            "predicted": self.predicted,
            "probability": self.probability,
            "explained": self.explained,
            "explained_probability": self.explained_probability,
        }


@dataclass(frozen=True)
class AttentionStep:
    """Explains an image, or draws a panel of its versions, and writes the picture."""

    probe: Explainer
    explain: int | str
    parameters: AttentionParameters
    labels: Mapping[str, int]
    headings: tuple[str, ...]
    output: Path

    def __call__(self, image: ImageFile) -> Entry:
        label = self.labels.get(image.name)
        others = image.others if isinstance(image, JoinedImage) else ()
        versions = [self._explain(version, label) for version in (image, *others)]
        picture = self._panel(image.name, versions, label) if others else versions[0].overlay
        entry = save_png(self.output, image.name, picture)
        entry |= {"source_sha256": versions[0].sha256}
        entry["versions"] = [version.as_entry() for version in versions]
        return entry if label is None else {**entry, "label": label}

    def _explain(self, image: ImageFile, label: int | None) -> ExplainedImage:
        pixels, digest = load_image(image)
        if self.probe.classifier.spec.fit.crop is not None:
            pixels = self.probe.classifier.fit_to_input(pixels)  # the map covers only what is seen
        center = self.parameters.center_weights
        logits, attention, chosen = self.probe.explain(
            pixels, lambda logits: self._chosen(logits, label), center
        )
        probabilities = self.probe.classifier.probabilities_of(logits)[0]
        predicted = int(logits[0].argmax())
        overlay = overlay_map(pixels, stretch_to_unit(attention), self.parameters.map_opacity)
        return ExplainedImage(
            pixels,
            overlay,
            digest,
            predicted,
            float(probabilities[predicted]),
            chosen,
            float(probabilities[chosen]),
        )

    def _chosen(self, logits: NDArray[np.float32], label: int | None) -> int:
        """The class to explain."""
        if isinstance(self.explain, int):
            return self.explain
        if self.explain == LABEL:
            if label is None:
                raise InputError("has no label to explain")
            return label
        return int(logits[0].argmax())

    def _panel(
        self, name: str, versions: Sequence[ExplainedImage], label: int | None
    ) -> NDArray[np.uint8]:
        names = self.probe.classifier.class_names
        pictures, overlays = [], []
        for version in versions:
            good = None if label is None else version.predicted == label
            caption = f"{version.probability:.2f} {short_name(names[version.predicted])}"
            pictures.append(Cell(version.pixels, caption, good))
            about = f"{version.explained_probability:.2f} {short_name(names[version.explained])}"
            overlays.append(Cell(version.overlay, f"attention: {about}", good))
        notes = ["Captions: probability and class. Red: strongest evidence for the class."]
        if label is not None:
            notes.append(
                f"Label: {short_name(names[label])}. Frame: blue if right, orange if wrong."
            )
        rows = [pictures, overlays]
        return contact_sheet(name, notes, self.headings, rows, side=self.parameters.picture_size)


def short_name(name: str) -> str:
    """The first of several comma-separated names of a class, as in ImageNet's lists."""
    return name.split(",")[0]


@dataclass
class AttentionOutcome(Outcome):
    """Also holds the headings of the columns, and the number of names not in all folders."""

    columns: tuple[str, ...] = ()
    alone: int = 0

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {**super().as_json(), "columns": list(self.columns), "alone": self.alone}


def explain_images(
    paths: Sequence[Path],
    model: Path,
    output: Path,
    parameters: AttentionParameters,
    input_options: InputOptions | None = None,
    *,
    explain: str = PREDICTED,
    labels: LabelOptions = LabelOptions(),
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> AttentionOutcome:
    """Draw class activation maps of all images in ``paths`` into the folder ``output``.

    Parameters
    ----------
    paths : sequence of Path
        One folder or single images: one overlay per image. Several folders: one panel per name
        that is in all of them, with one column per folder.
    model : Path
        The ONNX file.
    output : Path
    parameters : AttentionParameters
    input_options : InputOptions, optional
        The model's input, as given by the user.
    explain : str
        ``predicted``, ``label``, or a class by its number or name.
    labels : LabelOptions
        The file of the correct classes; by default the images' own labels, if any.
    workers, overwrite, progress
        As for every stage.

    Raises
    ------
    InputError
        If an input cannot be used, the output exists, the model cannot be explained in this way, or
        no image could be explained.
    """
    columns = _columns(paths)
    inputs = [load_inputs([path]) for path in paths] if columns else [load_inputs(paths)]
    first = _joined(inputs) if columns else inputs[0]
    classifier = load_classifier(model, input_options).check()
    classifier.tell(progress)
    probe = probe_of(classifier, parameters.method)
    known = find_labels(first, labels, classifier.class_names, classifier.n_classes)
    chosen = choose_class(explain, classifier)
    values = {**parameters.as_record(), "explain": chosen, "labels": known.origin}
    values |= {"columns": list(columns), "input": classifier.input_record()}
    images = {"model": classifier.sha256, "images": first.names_digest()}
    job = Job("attention", IMAGES, values, known=images)
    folder = OutputFolder.open(output, job.identity(), paths, overwrite)
    step = AttentionStep(probe, chosen, parameters, known.by_name, columns, output)
    done, resumed, failed = run_images(
        first,
        folder.journal,
        OneByOne(step),
        task="explain",
        workers=workers,
        progress=progress,
        folder=output,
        shared_paths=[model],
    )
    refuse_all_failed(failed, done + resumed, folder)
    tell(progress, known.sentences())
    sources = _sources(inputs, folder.journal.entries())
    folder.finish(job.record([*sources, classifier.source()]), failed)
    return AttentionOutcome(
        output,
        done,
        resumed,
        failed,
        columns,
        _alone(inputs, first),
        passed_over=first.passed_over,
        notes=known.sentences(),
    )


def _columns(paths: Sequence[Path]) -> tuple[str, ...]:
    """The headings of a panel's columns; empty if no panel is drawn."""
    folders = [path for path in paths if is_folder_of_images(path)]
    if len(paths) == 1 or not folders:
        return ()
    if len(folders) < len(paths):
        raise InputError("attention: expected several folders or single images, got both")
    names = [as_text(path.resolve().name) for path in paths]
    unique = len(set(names)) == len(names)
    return tuple(names) if unique else tuple(path.as_posix() for path in paths)


def _joined(inputs: Sequence[ImageInputs]) -> ImageInputs:
    """The first input's images joined with the others', with the labels of all inputs."""
    joined, _ = join_inputs(inputs)
    names = {image.name for image in joined.images}
    labels: dict[str, int] = {}
    for other in reversed(inputs):
        labels |= {name: label for name, label in other.labels.items() if name in names}
    return replace(joined, labels=labels)


def _alone(inputs: Sequence[ImageInputs], first: ImageInputs) -> int:
    """How many names, of all inputs, have no panel."""
    return len({name for item in inputs for name in names_of(item.images)}) - len(first.images)


def choose_class(text: str, classifier: Classifier) -> int | str:
    """The class index for ``--target-class``; ``predicted`` and ``label`` are returned as they are.

    Raises
    ------
    InputError
        If the model has no such class.
    """
    names = classifier.class_names
    if text in (PREDICTED, LABEL):
        return text
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < classifier.n_classes:
        return int(text)
    guess = nearest(text, [*names, PREDICTED, LABEL])
    hint = f"; did you mean {guess!r}?" if guess else ""
    raise InputError(
        f"--target-class: expected {PREDICTED}, {LABEL}, a class name or a number "
        f"from 0 to {classifier.n_classes - 1}, got {text!r}{hint}"
    )


def _sources(inputs: Sequence[ImageInputs], entries: Any) -> list[Source]:
    digests: list[dict[str, str]] = [{} for _ in inputs]
    for entry in entries:
        for place, version in enumerate(entry["versions"]):
            digests[place][entry["name"]] = version["sha256"]
    return [
        source for item, used in zip(inputs, digests, strict=True) for source in item.sources(used)
    ]
