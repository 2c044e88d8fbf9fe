"""The clean images with which others are compared: a file that is read, or a folder to measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rsparse.commands.detect.setup import DetectorFiles, DetectorSetup, set_up, set_up_as
from rsparse.detection.registry import parse_scores
from rsparse.detection.score import Score
from rsparse.errors import InputError
from rsparse.options.detect import DetectParameters
from rsparse.store.files import sha256_of_file
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.records import Source
from rsparse.store.reference_scores import ReferenceScores, load_reference
from rsparse.work.progress import Progress
from rsparse.work.workers import Workers


class ReadyReference(NamedTuple):
    """A reference that is read, or the images from which it is to be measured."""

    setup: DetectorSetup
    scores: ReferenceScores | None
    images: ImageInputs | None
    sources: tuple[Source, ...]


def needed_files(path: Path, files: DetectorFiles) -> DetectorFiles:
    """The files that the scores of ``reference.h5`` need: all, or none.

    Raises
    ------
    InputError
        If it is not such a file.
    """
    stored, _ = load_reference(path)
    needs = any(score.needs_model for score in parse_scores(stored.columns))
    return files if needs else DetectorFiles()


def reference_at(
    path: Path,
    scores: Sequence[Score],
    files: DetectorFiles,
    parameters: DetectParameters,
    workers: Workers,
    progress: Progress,
) -> ReadyReference:
    """Read a reference, or find its images, and put the detector together."""
    if path.is_dir():
        setup = set_up(scores, files, parameters, workers, progress)
        return ReadyReference(setup, None, load_inputs([path]), ())
    stored, record = load_reference(path)
    chosen = tuple(scores) or parse_scores(stored.columns)
    for score in chosen:
        if score.spec not in stored.columns:
            raise InputError(
                f"--score {score.spec}: {path} has no such score; it has "
                f"{', '.join(stored.columns)}"
            )
    setup = set_up_as(path, record, chosen, files, parameters, workers, progress)
    places = [stored.columns.index(score.spec) for score in chosen]
    columns = tuple(score.spec for score in chosen)
    kept = ReferenceScores(stored.digests, columns, stored.scores[:, places], stored.size)
    return ReadyReference(setup, kept, None, (Source(path.name, sha256_of_file(path), record),))
