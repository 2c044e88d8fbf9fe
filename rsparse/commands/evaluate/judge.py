"""Trials of an evaluation: a folder of images behind one defense, judged by classifiers."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rsparse.defended.judging import JudgeStep, JudgingSetup
from rsparse.defenses import Defense
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.store.files import sha256_of_file
from rsparse.store.hdf5_reading import open_hdf5
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.job import METHODS, Job
from rsparse.store.journal import Entry, journal_beside
from rsparse.store.predictions import Prediction, load_predictions, save_predictions
from rsparse.store.records import PREDICTIONS, Source
from rsparse.store.together import appear_together
from rsparse.work.progress import SILENT, Progress
from rsparse.work.runs import Outcome, refuse_all_failed, run_images
from rsparse.work.workers import LocalWorkers, Workers


@dataclass
class JudgeOutcome(Outcome):
    """Also holds the defense's mean time per image, in seconds."""

    seconds: float = 0.0


class Folder:
    """Attacked or benign images, with the digests and labels of their manifest."""

    def __init__(self, path: Path, entries: list[Entry]) -> None:
        self.path = path
        self.digests = {entry["name"]: entry["sha256"] for entry in entries}
        self.labels = {entry["name"]: entry["label"] for entry in entries}

    @cached_property
    def inputs(self) -> ImageInputs:
        """The images; the folder is searched on first use."""
        inputs = load_inputs([self.path]).only(self.digests)
        if len(inputs.images) < len(self.digests):
            raise InputError(f"{self.path}: images of its manifest are missing; pass --overwrite")
        return inputs

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The images as sources in the record of a trial."""
        return self.inputs.sources(self.digests)


@dataclass(frozen=True)
class JudgedTrial:
    """One judge of a folder behind a defense, with the job, sources and file of its predictions."""

    judge: Classifier
    job: Job
    sources: tuple[Source, ...]
    path: Path


def make_trial(
    folder: Folder, judging: JudgingSetup, judge: Classifier, defense: Defense, path: Path
) -> JudgedTrial:
    """The trial of a judge behind a defense, stored in ``path``."""
    values: dict[str, Any] = {
        "defense": defense.as_record(),
        "input": judge.input_record(),
        **judging.device.record(),
    }
    if codecs := defense.codecs(judging.device):
        values["codecs"] = codecs
    used = tuple(judging.dictionaries[name] for name in defense.dictionaries)
    seed = judging.resources.seed if defense.is_random else None
    known = {
        "images": [source.sha256 for source in folder.sources],
        "model": judge.sha256,
        "dictionaries": [source.sha256 for source in used],
    }
    job = Job("judge", PREDICTIONS, values, seed, known)
    return JudgedTrial(judge, job, (*folder.sources, judge.source(), *used), path)


def read_trial(trial: JudgedTrial, folder: Folder) -> list[Prediction] | None:
    """The predictions of a finished trial; None if it is missing, incomplete or does not match."""
    if not trial.path.exists():
        return None
    try:
        rows, record = load_predictions(trial.path)
    except InputError:
        return None
    whole = {row.name: row.sha256 for row in rows} == folder.digests
    return rows if whole and trial.job.matches(record, trial.sources) else None


def changed_method_of(trial: JudgedTrial) -> str | None:
    """The outdated method that made an existing trial, if any; see ``Job.changed_method``."""
    record = _record_in(trial.path)
    return None if record is None else trial.job.changed_method(record, trial.sources)


def is_judged(path: Path) -> bool:
    """Whether a trial exists and was made by the current method."""
    record = _record_in(path)
    return record is not None and record.get("method") == METHODS["judge"]


def _record_in(path: Path) -> Mapping[str, Any] | None:
    try:
        with open_hdf5(path, PREDICTIONS) as (_, record):
            return record
    except InputError:
        return None


def judge_images(
    folder: Folder,
    judging: JudgingSetup,
    defense: Defense,
    trials: Sequence[JudgedTrial],
    *,
    task: str,
    workers: Workers = LocalWorkers(),
    progress: Progress = SILENT,
) -> tuple[JudgeOutcome, dict[Path, list[Prediction]]]:
    """Clean all images of a folder once and classify them with the judge of each trial.

    Existing trials are replaced; an interrupted run over the same trials is resumed.

    Returns
    -------
    JudgeOutcome, and the predictions of each trial by its file

    Raises
    ------
    InputError
        If no image could be judged.
    """
    run = {"trials": [trial.job.identity() for trial in trials]}
    judges = tuple(trial.judge for trial in trials)
    step = JudgeStep(judging.classifier(defense, judges))
    output = trials[0].path
    with journal_beside(output, run, overwrite=True) as journal:
        done, resumed, failed = run_images(
            folder.inputs,
            journal,
            step,
            task=task,
            workers=workers,
            progress=progress,
            shared_paths=[folder.path, *(judge.path for judge in judges)],
        )
        _refuse_changed(folder, failed)
        refuse_all_failed(failed, done + resumed, None)
        entries = list(journal.entries())
        for entry in entries:
            if entry["source_sha256"] != folder.digests[entry["name"]]:
                changed = folder.path / f"{entry['name']}.png"
                raise InputError(f"{changed}: differs from its manifest; pass --overwrite")
        made = {trial.path: _predictions(folder, entries, i) for i, trial in enumerate(trials)}
        with appear_together(output, journal) as members:
            for trial in trials:
                record, names = trial.job.record(trial.sources), trial.judge.class_names
                save_predictions(trial.path, record, made[trial.path], names, members)
    seconds = sum(entry["seconds"] for entry in entries) / len(entries)
    return JudgeOutcome(output, done, resumed, failed, seconds), made


def _refuse_changed(folder: Folder, failed: Sequence[Entry]) -> None:
    """Refuse a folder in which an image differs from the manifest; others may fail alone."""
    names = {entry["name"] for entry in failed}
    for image in folder.inputs.images:
        if image.name in names and sha256_of_file(image.path) != folder.digests[image.name]:
            raise InputError(f"{image.path}: differs from its manifest; pass --overwrite")


def _predictions(folder: Folder, entries: Sequence[Entry], judge: int) -> list[Prediction]:
    """The predictions of one judge, by its position."""
    return [
        Prediction(
            entry["name"],
            entry["source_sha256"],
            folder.labels[entry["name"]],
            tuple(entry["classes"][judge]),
            tuple(entry["probabilities"][judge]),
            sys.intern(entry["done"]),
            math.inf if entry["psnr"] is None else entry["psnr"],
        )
        for entry in entries
    ]
