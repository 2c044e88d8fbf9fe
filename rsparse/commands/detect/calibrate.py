"""``rsparse detect --calibrate``: clean images in, their scores out, as a reference for others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsparse.commands.detect.measuring import MeasuredFolder, measure_folder
from rsparse.commands.detect.setup import DetectorFiles, DetectorSetup, set_up
from rsparse.detection.score import Score
from rsparse.errors import InputError
from rsparse.options.detect import DetectParameters
from rsparse.store.files import refuse_existing, require_suffix
from rsparse.store.inputs import load_inputs
from rsparse.store.job import Job
from rsparse.store.journal import journal_beside
from rsparse.store.records import DETECTOR
from rsparse.store.reference_scores import ReferenceScores, save_reference
from rsparse.store.together import appear_together
from rsparse.work.progress import SILENT, Progress
from rsparse.work.runs import Outcome
from rsparse.work.workers import LocalWorkers, Workers

FEW = 100
"""Below this number of clean images, a reference says little about rare scores."""


def calibrate_images(
    paths: Sequence[Path],
    output: Path,
    parameters: DetectParameters,
    scores: Sequence[Score] = (),
    files: DetectorFiles = DetectorFiles(),
    *,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Outcome:
    """Measure the scores of clean images and write ``reference.h5``.

    Parameters
    ----------
    paths : sequence of Path
        Clean images, such as those to examine later would be without attacks.
    output : Path
    parameters : DetectParameters
        The reference has to have enough images for its level of false alarms.
    scores : sequence of Score
        Empty for the default ones.
    files : DetectorFiles
    workers, overwrite, progress
        As for every stage.

    Raises
    ------
    InputError
        If an input cannot be used, the output exists, no image could be measured, or there are too
        few for the level of false alarms.
    """
    require_suffix(output, ".h5", ".hdf5")
    setup = set_up(scores, files, parameters, workers, progress)
    refuse_existing(output, overwrite)
    inputs = load_inputs(paths)
    refuse_too_few(len(inputs.images), parameters.false_alarms)
    known = {**setup.known(), "images": inputs.names_digest()}
    job = Job("detect", DETECTOR, setup.parameters(), setup.seed, known)
    with journal_beside(output, job.identity(), overwrite) as journal:
        measured = measure_folder(
            inputs,
            setup,
            journal,
            task="calibrate",
            batch_size=parameters.batch_size,
            workers=workers,
            progress=progress,
        )
        refuse_too_few(len(measured.digests), parameters.false_alarms)
        record = job.record([*measured.sources, *setup.sources])
        with appear_together(output, journal) as members:
            save_reference(output, record, reference_of(measured, setup), members)
    outcome = measured.outcome
    outcome.output = output
    outcome.notes += notes_on(len(measured.digests))
    return outcome


def reference_of(measured: MeasuredFolder, setup: DetectorSetup) -> ReferenceScores:
    """The scores of clean images as a reference."""
    columns = tuple(score.spec for score in setup.detector.scores)
    return ReferenceScores(measured.digests, columns, measured.scores, measured.size)


def refuse_too_few(n: int, level: float) -> None:
    """Refuse a reference whose smallest p-value is above the level of false alarms."""
    if (n + 1) * level < 1:
        needed = -(-1 // level)
        raise InputError(
            f"--false-alarms {level:g}: the reference has {n} clean image{'s' * (n != 1)}, with "
            f"which no p-value is below 1/{n + 1}; take {needed - 1:.0f} or more, or more false "
            "alarms"
        )


def notes_on(n: int) -> list[str]:
    """What to say about a reference of ``n`` images."""
    if n >= FEW:
        return []
    return [f"only {n} clean images in the reference; take {FEW} or more for steady results"]
