"""``rsparse detect``: images and a reference of clean ones in, which look attacked out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from rsparse.commands.detect.calibrate import reference_of, refuse_too_few
from rsparse.commands.detect.measuring import MeasuredFolder, measure_folder
from rsparse.commands.detect.reference import ReadyReference, reference_at
from rsparse.commands.detect.results import DetectOutcome, outcome_of
from rsparse.commands.detect.setup import DetectorFiles
from rsparse.detection.score import Score
from rsparse.errors import InputError
from rsparse.options.detect import DetectParameters
from rsparse.store.csv_artifacts import refuse_existing_csv, write_csv
from rsparse.store.detections import detection_lines
from rsparse.store.files import require_suffix
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.job import Job
from rsparse.store.journal import journal_beside
from rsparse.store.records import DETECTIONS
from rsparse.store.together import appear_together
from rsparse.work.progress import SILENT, Progress, tell
from rsparse.work.workers import LocalWorkers, Workers


def detect_images(
    paths: Sequence[Path],
    reference: Path,
    output: Path | None,
    parameters: DetectParameters,
    scores: Sequence[Score] = (),
    files: DetectorFiles = DetectorFiles(),
    *,
    attacked: Sequence[Path] = (),
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> DetectOutcome:
    """Find which images in ``paths`` look attacked.

    Parameters
    ----------
    paths : sequence of Path
        Folders or images.
    reference : Path
        A folder of clean images, or ``reference.h5`` of ``calibrate_images``.
    output : Path or None
        ``found.csv``; if None, nothing is written.
    parameters : DetectParameters
    scores : sequence of Score
        Empty for those of ``reference.h5``, or for a folder the default ones.
    files : DetectorFiles
    attacked : sequence of Path
        Folders of images that are known to be attacked. The images in ``paths`` then count as
        clean.
    workers, overwrite, progress
        As for every stage.

    Raises
    ------
    InputError
        If an input cannot be used, the output exists, no image could be measured, or the reference
        has too few images for the level of false alarms.
    """
    if output is not None:
        require_suffix(output, ".csv")
    ready = reference_at(reference, scores, files, parameters, workers, progress)
    if output is not None:
        refuse_existing_csv(output, overwrite)
    folders = {"": load_inputs(paths)}
    folders |= {name: load_inputs([path]) for name, path in _named(attacked).items()}
    outcome = examine(
        folders,
        ready,
        output,
        parameters,
        workers=workers,
        overwrite=overwrite,
        progress=progress,
    )
    tell(progress, outcome.notes)
    return outcome


def examine(
    folders: Mapping[str, ImageInputs],
    ready: ReadyReference,
    output: Path | None,
    parameters: DetectParameters,
    *,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> DetectOutcome:
    """Find which images of folders look attacked; the given ones have the name "".

    Raises
    ------
    InputError
        As ``detect_images``.
    """
    job = job_of(folders, ready, parameters)
    with ExitStack() as stack:

        def measured(part: str, inputs: ImageInputs, task: str, number: int) -> MeasuredFolder:
            place = None if output is None else output.with_name(f"{output.stem}-{number}.csv")
            identity = {**job.identity(), "part": part}
            journal = stack.enter_context(journal_beside(place, identity, overwrite=True))
            return measure_folder(
                inputs,
                ready.setup,
                journal,
                task=task,
                batch_size=parameters.batch_size,
                workers=workers,
                progress=progress,
            )

        main = stack.enter_context(journal_beside(output, job.identity(), overwrite))
        clean, sources = ready.scores, list(ready.sources)
        if ready.images is not None:
            of_clean = measured("reference", ready.images, "calibrate", 0)
            clean = reference_of(of_clean, ready.setup)
            sources += of_clean.sources
        assert clean is not None  # a folder or a file
        refuse_too_few(len(clean.digests), parameters.false_alarms)
        found = {
            name: measured(f"images {name}", inputs, f"examine {name}".rstrip(), number)
            for number, (name, inputs) in enumerate(folders.items(), 1)
        }
        outcome = outcome_of(found, clean, ready.setup, parameters)
        outcome.output, outcome.is_written = output or Path("-"), output is not None
        if output is not None:
            sources += [source for folder in found.values() for source in folder.sources]
            record = job.record([*sources, *ready.setup.sources])
            with appear_together(output, main) as members:
                lines = detection_lines(outcome.rows, outcome.columns)
                write_csv(members, output, record, lines)
    return outcome


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders by their names; InputError if two have the same."""
    named: dict[str, Path] = {}
    for folder in folders:
        name = folder.resolve().name
        if name in named:
            raise InputError(f"--attacked: {named[name]} and {folder} have the same name")
        named[name] = folder
    return named


def job_of(
    folders: Mapping[str, ImageInputs], ready: ReadyReference, parameters: DetectParameters
) -> Job:
    """The work of ``examine``."""
    values = {**ready.setup.parameters(), **parameters.ranking()}
    known = {
        **ready.setup.known(),
        "images": {name: inputs.names_digest() for name, inputs in folders.items()},
        "reference": [
            *(source.sha256 for source in ready.sources),
            *([ready.images.names_digest()] if ready.images is not None else []),
        ],
    }
    return Job("detect", DETECTIONS, values, ready.setup.seed, known)
