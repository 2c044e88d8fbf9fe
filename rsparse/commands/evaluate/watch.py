"""The detector of an evaluation: it rejects images that look attacked, before any defense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse.commands.detect.calibrate import refuse_too_few
from rsparse.commands.detect.detect import examine, job_of
from rsparse.commands.detect.reference import ReadyReference, needed_files, reference_at
from rsparse.commands.detect.results import DetectOutcome
from rsparse.commands.detect.setup import DetectorFiles
from rsparse.commands.evaluate.judge import Folder
from rsparse.errors import InputError
from rsparse.evaluation.places import detections_file
from rsparse.evaluation.plan import Plan
from rsparse.options.detect import DetectParameters
from rsparse.store.csv_artifacts import CHECKSUM
from rsparse.store.detections import load_detected
from rsparse.store.images import Pixels
from rsparse.store.records import Source
from rsparse.work.progress import SILENT, Progress
from rsparse.work.workers import LocalWorkers, Workers


@dataclass(frozen=True)
class Watch:
    """A detector, its reference, and the folder of the evaluation."""

    ready: ReadyReference
    parameters: DetectParameters
    output: Path

    @classmethod
    def of(cls, plan: Plan, workers: Workers) -> Watch | None:
        """The detector of a plan, if it has one; it is given the plan's classifier if it needs one.

        Raises
        ------
        InputError
            If the reference cannot be read, or was made with other files.
        """
        if plan.detector is None:
            return None
        if plan.detector.is_dir():
            raise InputError(
                f"--detector: {plan.detector} is a folder; make a file from it with "
                f"rsparse detect {plan.detector} --calibrate"
            )
        values = plan.parameters
        parameters = DetectParameters(values.false_alarms, values.tolerance, device=values.device)
        given = DetectorFiles(plan.model.path, plan.model.input_options, plan.dictionaries)
        files = needed_files(plan.detector, given)
        ready = reference_at(plan.detector, (), files, parameters, workers, SILENT)
        assert ready.scores is not None  # read from a file
        refuse_too_few(len(ready.scores.digests), values.false_alarms)
        return cls(ready, parameters, plan.output)

    @property
    def source(self) -> Source:
        """The reference as the input of a record."""
        (source,) = self.ready.sources
        return source

    def record(self) -> dict[str, Any]:
        """The detector as a parameter of a record."""
        return {**self.ready.setup.parameters(), **self.parameters.ranking()}

    def look(self, image: Pixels) -> None:
        """Measure an image, to see how long it takes."""
        detector = self.ready.setup.detector
        detector.measure(detector.prepare(image))

    def has_examined(self, place: Path) -> bool:
        """Whether there is a table for a folder within the evaluation."""
        return (self.output / detections_file(place)).exists()

    def knows_any(self, digests: Iterable[str]) -> bool:
        """Whether an image with one of these digests is among the clean images of the reference."""
        assert self.ready.scores is not None  # read from a file
        return not set(digests).isdisjoint(self.ready.scores.digests.values())

    def rejected(self, folder: Folder, place: Path) -> Mapping[str, bool] | None:
        """Which images of a folder were rejected, if they were examined by this detector.

        Parameters
        ----------
        folder : Folder
        place : Path
            The folder's path within the evaluation.
        """
        path = self.output / detections_file(place)
        try:
            found, record = load_detected(path)
        except InputError:
            return None
        del record[CHECKSUM]  # of the table, which is no part of the job
        job = job_of({"": folder.inputs}, self.ready, self.parameters)
        sources = (*self.ready.sources, *folder.sources, *self.ready.setup.sources)
        by_name = {name: found.get(digest) for name, digest in folder.digests.items()}
        whole = {name: flag for name, flag in by_name.items() if flag is not None}
        return whole if len(whole) == len(by_name) and job.matches(record, sources) else None

    def examine(
        self,
        folder: Folder,
        place: Path,
        *,
        workers: Workers = LocalWorkers(),
        progress: Progress = SILENT,
    ) -> tuple[Mapping[str, bool], DetectOutcome]:
        """Examine the images of a folder, and write ``detections/….csv``.

        Raises
        ------
        InputError
            If no image could be measured.
        """
        path = self.output / detections_file(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        outcome = examine(
            {"": folder.inputs}, self.ready, path, self.parameters,
            workers=workers, overwrite=True, progress=progress,
        )  # fmt: skip
        return {row.name: row.detected for row in outcome.rows}, outcome
